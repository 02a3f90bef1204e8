#pragma once
// The embedded store as the conformance suites want it: in memory or in a directory of its own.

#include <filesystem>
#include <memory>

#include "base/random.hpp"
#include "store/conformance/backend.hpp"
#include "store/embedded/store.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

class EmbeddedBackend : public conformance::Backend {
public:
    explicit EmbeddedBackend(bool on_disk) : on_disk_(on_disk) {
        if (on_disk_) std::filesystem::create_directories(directory_);
        open();
    }
    ~EmbeddedBackend() override {
        close();
        std::filesystem::remove_all(directory_);
    }
    Documents& documents() override { return store_->documents(); }
    SharedState& state() override { return store_->state(); }
    Events& events() override { return store_->events(); }
    MailStore& mail() override { return store_->mail(); }
    ManualClock& clock() override { return clock_; }
    kv::Engine& engine() { return *engine_; }
    void reopen() override {
        close();
        open();
    }

private:
    void close() {
        store_.reset();
        engine_.reset();
    }
    void open() {
        auto const specs = table_specs();
        if (on_disk_)
            engine_ = std::move(*kv::open_rocks({.directory = directory_ / "kv"}, specs));
        else
            engine_ = kv::open_memory(memory_, specs);
        store_ = std::move(*EmbeddedStore::open(*engine_, {.upkeep = false}, clock_));
    }

    bool on_disk_;
    std::filesystem::path directory_ = std::filesystem::temp_directory_path() / ("mallard-store-" + random_hex(8));
    std::shared_ptr<kv::MemoryState> memory_ = kv::new_memory_state();
    ManualClock clock_;
    std::unique_ptr<kv::Engine> engine_;
    std::unique_ptr<EmbeddedStore> store_;
};

}  // namespace mallard::store::embedded
