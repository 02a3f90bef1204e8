// The conformance suites on this engine.
#include <cstdio>

#include "store/cluster/test_backend.hpp"

namespace mallard::store::conformance {

namespace {

std::vector<BackendFactory> factories() {
    if (!cluster::have_servers()) return {};
    return {{"cluster", [] { return std::make_unique<cluster::ClusterBackend>(); }}};
}

TEST(ClusterServers, AreThere) {
    if (cluster::have_servers()) return;
    std::puts(cluster::no_servers);  // what ctest looks for
    GTEST_SKIP() << cluster::no_servers;
}

}  // namespace

INSTANTIATE_TEST_SUITE_P(Cluster, DocumentsSuite, testing::ValuesIn(factories()), name_of_backend);
INSTANTIATE_TEST_SUITE_P(Cluster, SharedStateSuite, testing::ValuesIn(factories()), name_of_backend);
INSTANTIATE_TEST_SUITE_P(Cluster, EventsSuite, testing::ValuesIn(factories()), name_of_backend);

}  // namespace mallard::store::conformance
