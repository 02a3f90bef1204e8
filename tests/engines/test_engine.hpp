#pragma once
// The store under a test of what stands above it: empty at first, of the engine that MALLARD_TEST_ENGINE names
// ("embedded", the default, in memory; "cluster"). Events are told within the process, as of that engine, but at once:
// what Redis does is the matter of the engine's own tests. One at a time in a process.

#include <memory>

#include "base/clock.hpp"
#include "store/documents.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::engines {

class TestEngine {
public:
    virtual ~TestEngine() = default;
    virtual store::Documents& documents() = 0;
    virtual store::MailStore& mail() = 0;
    virtual store::SharedState& state() = 0;
    virtual store::Events& events() = 0;
    virtual std::uint64_t round_trips() const { return 0; }  // to a database, so far
    virtual bool joins() const { return true; }              // the database finds two documents in one round trip
};

// The clock outlives it. Throws std::runtime_error when there is none.
std::unique_ptr<TestEngine> open_test_engine(Clock const& clock);
bool on_cluster();

}  // namespace mallard::engines
