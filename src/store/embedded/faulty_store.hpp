#pragma once
// What fault sweeps stand on: the whole embedded store, in memory that outlives it, on a disk that fails.

#include <memory>
#include <utility>

#include "base/clock.hpp"
#include "kv/engine.hpp"
#include "store/embedded/store.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

// Write number `fail_at` fails (0: none), and unless `once` all after it.
struct FaultyStore {
    FaultyStore(std::shared_ptr<kv::MemoryState> memory, int fail_at, bool once)
        : disk(kv::open_memory(std::move(memory), table_specs())), faulty(kv::wrap_faulty(*disk, fail_at, once)) {
        if (auto opened = EmbeddedStore::open(*faulty, {.upkeep = false}, clock)) store = std::move(*opened);
    }

    ManualClock clock;
    std::unique_ptr<kv::Engine> disk;
    std::unique_ptr<kv::FaultyEngine> faulty;
    std::unique_ptr<EmbeddedStore> store;  // null: a write failed while it was opened
};

}  // namespace mallard::store::embedded
