// The MailStore's conformance suite on memory and on RocksDB; what only this engine has.

#include "store/embedded/mail_store.hpp"

#include <gtest/gtest.h>

#include "store/conformance/mail_store_suite.hpp"
#include "store/embedded/test_backend.hpp"

namespace mallard::store::conformance {

INSTANTIATE_TEST_SUITE_P(
    Embedded, MailStoreSuite,
    testing::Values(BackendFactory{"memory", [] { return std::make_unique<embedded::EmbeddedBackend>(false); }},
                    BackendFactory{"rocks", [] { return std::make_unique<embedded::EmbeddedBackend>(true); }}),
    name_of_backend);

}  // namespace mallard::store::conformance
