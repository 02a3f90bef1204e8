#pragma once
// EmbeddedStore: the store of one machine, opened and joined. Owns its engine (or borrows one), and a thread that
// writes checkpoints and frees what nothing points at any more. Nothing is loaded when it is opened.
// - One process per directory: conflict.
// - A directory that a newer release has written is refused: not_supported.

#include <chrono>
#include <memory>
#include <string>

#include "base/clock.hpp"
#include "kv/engine.hpp"
#include "store/documents.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::store::embedded {

struct EmbeddedConfig {
    std::string directory;
    std::size_t block_cache_bytes = 256u << 20;
    std::size_t write_buffer_bytes = 64u << 20;
    std::int64_t rows_open_max = 4'000'000;  // rows of open mailboxes kept in memory, 72 octets each
    bool create = true;                      // make the directory's store if there is none
    bool upkeep = true;                      // the thread; without it, call mail().sweep()
    std::chrono::seconds keep_expunged{60};  // a session that still shows an expunged message can read it so long
};

class EmbeddedStore {
public:
    static Result<std::unique_ptr<EmbeddedStore>> open(EmbeddedConfig const& config, Clock const& clock);
    // On an engine of the caller's (opened with table_specs()), which outlives the store.
    static Result<std::unique_ptr<EmbeddedStore>> open(kv::Engine& engine, EmbeddedConfig const& config,
                                                       Clock const& clock);
    virtual ~EmbeddedStore() = default;  // stops the thread, writes checkpoints

    virtual Documents& documents() = 0;
    virtual MailStore& mail() = 0;
    virtual SharedState& state() = 0;
    virtual Events& events() = 0;
    virtual kv::Engine& engine() = 0;
};

}  // namespace mallard::store::embedded
