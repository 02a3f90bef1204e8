#pragma once

#include "engines/test_engine.hpp"

namespace mallard::engines {

// On the servers that MALLARD_TEST_MONGO_URL and MALLARD_TEST_REDIS_URL name.
std::unique_ptr<TestEngine> open_cluster_engine(Clock const& clock);

}  // namespace mallard::engines
