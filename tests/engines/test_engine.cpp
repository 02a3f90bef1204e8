#include "engines/test_engine.hpp"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "engines/cluster_engine.hpp"
#include "kv/engine.hpp"
#include "store/embedded/store.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::engines {

namespace {

class EmbeddedTestEngine final : public TestEngine {
public:
    explicit EmbeddedTestEngine(Clock const& clock)
        : engine_(kv::open_memory(kv::new_memory_state(), store::embedded::table_specs())) {
        auto opened = store::embedded::EmbeddedStore::open(*engine_, {.upkeep = false}, clock);
        if (!opened) throw std::runtime_error(opened.error().message);
        store_ = std::move(*opened);
    }
    store::Documents& documents() override { return store_->documents(); }
    store::MailStore& mail() override { return store_->mail(); }
    store::SharedState& state() override { return store_->state(); }
    store::Events& events() override { return store_->events(); }

private:
    std::unique_ptr<kv::Engine> engine_;
    std::unique_ptr<store::embedded::EmbeddedStore> store_;
};

std::string_view name_of_engine() {
    char const* name = std::getenv("MALLARD_TEST_ENGINE");
    return name == nullptr ? "embedded" : name;
}

}  // namespace

bool on_cluster() { return name_of_engine() == "cluster"; }

std::unique_ptr<TestEngine> open_test_engine(Clock const& clock) {
    if (on_cluster()) return open_cluster_engine(clock);
    if (name_of_engine() == "embedded") return std::make_unique<EmbeddedTestEngine>(clock);
    throw std::runtime_error("MALLARD_TEST_ENGINE is neither \"embedded\" nor \"cluster\"");
}

}  // namespace mallard::engines
