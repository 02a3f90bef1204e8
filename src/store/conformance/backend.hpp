#pragma once
// What an engine hands to the conformance suites. Its test program instantiates
// them:
//   INSTANTIATE_TEST_SUITE_P(Rocks, DocumentsSuite, testing::Values(BackendFactory{"rocks", [] { ... }}),
//   name_of_backend);

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "base/clock.hpp"
#include "store/documents.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::store::conformance {

// One store of its own, empty at first. It reads time from clock().
class Backend {
public:
    virtual ~Backend() = default;
    virtual Documents& documents() = 0;
    virtual SharedState& state() = 0;
    virtual Events& events() = 0;
    virtual MailStore& mail() = 0;
    virtual ManualClock& clock() = 0;
    // How much of a long test this engine is asked to do here: less than all where a test server (not the engine) takes
    // time for each request that grows with what it holds.
    virtual double share_of_long_tests() const { return 1; }
    virtual void reopen() = 0;  // as after the end of the process: only what was durable is there
};

struct BackendFactory {
    std::string name;
    std::function<std::unique_ptr<Backend>()> make;
};
inline std::ostream& operator<<(std::ostream& out, BackendFactory const& factory) { return out << factory.name; }

inline std::string name_of_backend(testing::TestParamInfo<BackendFactory> const& info) { return info.param.name; }

class BackendSuite : public testing::TestWithParam<BackendFactory> {
protected:
    void SetUp() override { backend = GetParam().make(); }
    std::unique_ptr<Backend> backend;
};

class DocumentsSuite : public BackendSuite {};
class SharedStateSuite : public BackendSuite {};
class EventsSuite : public BackendSuite {};
// MailStoreSuite: mail_store_suite.hpp

}  // namespace mallard::store::conformance
