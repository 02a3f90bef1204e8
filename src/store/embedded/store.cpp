#include "store/embedded/store.hpp"

#include <fmt/format.h>

#include <charconv>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "base/log.hpp"
#include "store/embedded/documents.hpp"
#include "store/embedded/events.hpp"
#include "store/embedded/mail_store.hpp"
#include "store/embedded/shared_state.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr std::chrono::milliseconds upkeep_pause{250};
constexpr std::chrono::seconds expiry_pause{60};
constexpr LogContext log_context{.component = "store", .session = {}, .user = {}, .address = {}};

Result<void> check_format(kv::Engine& engine) {
    MALLARD_TRY_ASSIGN(auto const stored, engine.get(table_meta, "format"));
    if (!stored) {
        kv::WriteBatch batch;
        batch.put(table_meta, "format", std::to_string(format_version));
        return engine.commit(batch, kv::Durability::sync);
    }
    unsigned version = 0;
    auto const [end, error] = std::from_chars(stored->data(), stored->data() + stored->size(), version);
    if (error != std::errc{} || end != stored->data() + stored->size() || version == 0)
        return fail(ErrorKind::corrupt, "The data directory has no readable format version", *stored);
    if (version > format_version)
        return fail(ErrorKind::not_supported,
                    fmt::format("The data directory was written by a newer release (format {}, this one knows {}); "
                                "install that release again",
                                version, format_version));
    return {};
}

class Store final : public EmbeddedStore {
public:
    Store(std::unique_ptr<kv::Engine> owned, kv::Engine& engine, EmbeddedConfig const& config, Clock const& clock)
        : owned_(std::move(owned)),
          engine_(engine),
          keep_expunged_(config.keep_expunged),
          documents_(engine, clock),
          state_(engine, clock),
          mail_(engine, events_, clock, {.rows_open_max = config.rows_open_max}) {}

    ~Store() override {
        {
            std::lock_guard const lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        if (thread_.joinable()) thread_.join();
        (void)mail_.checkpoint_all();  // the journal says the same: failing costs only time at the next start
    }

    Result<void> start(bool upkeep) {
        MALLARD_TRY(check_format(engine_));
        MALLARD_TRY(state_.open());
        if (upkeep) thread_ = std::thread([this] { run(); });
        return {};
    }

    Documents& documents() override { return documents_; }
    MailStore& mail() override { return mail_; }
    SharedState& state() override { return state_; }
    Events& events() override { return events_; }
    kv::Engine& engine() override { return engine_; }

private:
    using Steady = std::chrono::steady_clock;

    bool pause(std::chrono::milliseconds time) {  // false: stopping
        std::unique_lock lock(mutex_);
        return !wake_.wait_for(lock, time, [&] { return stopping_; });
    }

    void run() {
        auto next_expiry = Steady::now();
        std::chrono::milliseconds wait = upkeep_pause;
        while (pause(wait)) {
            bool const due = Steady::now() >= next_expiry;
            if (due) next_expiry = Steady::now() + expiry_pause;
            auto const more = work(due);
            if (!more)
                log(LogLevel::error, log_context, "Upkeep of the store failed: " + more.error().message,
                    {{"context", more.error().context}});
            wait = more && *more ? std::chrono::milliseconds{1} : upkeep_pause;
        }
    }

    Result<bool> work(bool expiry) {
        MALLARD_TRY(mail_.checkpoint_due());
        if (expiry) {
            MALLARD_TRY(state_.sweep());
            MALLARD_TRY(documents_.sweep());
            MALLARD_TRY(mail_.expire());
        }
        MALLARD_TRY_ASSIGN(std::uint64_t const end, mail_.sweep_mark());
        if (marks_.empty() || marks_.back().end != end) marks_.push_back({Steady::now(), end});
        while (!marks_.empty() && marks_.front().when + keep_expunged_ <= Steady::now()) {
            sweepable_ = marks_.front().end;
            marks_.pop_front();
        }
        if (sweepable_ == 0) return false;
        return mail_.sweep_below(sweepable_);
    }

    struct Mark {
        Steady::time_point when;
        std::uint64_t end;  // of the reference log at that time
    };

    std::unique_ptr<kv::Engine> owned_;
    kv::Engine& engine_;
    std::chrono::seconds const keep_expunged_;
    EmbeddedEvents events_;
    EmbeddedDocuments documents_;
    EmbeddedSharedState state_;
    EmbeddedMailStore mail_;

    std::thread thread_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::deque<Mark> marks_;  // the thread's own
    std::uint64_t sweepable_ = 0;
};

Result<std::unique_ptr<EmbeddedStore>> start(std::unique_ptr<kv::Engine> owned, kv::Engine& engine,
                                             EmbeddedConfig const& config, Clock const& clock) {
    auto store = std::make_unique<Store>(std::move(owned), engine, config, clock);
    MALLARD_TRY(store->start(config.upkeep));
    return store;
}

}  // namespace

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open(EmbeddedConfig const& config, Clock const& clock) {
    auto const tables = table_specs();
    MALLARD_TRY_ASSIGN(auto engine, kv::open_rocks({.directory = config.directory,
                                                    .block_cache_bytes = config.block_cache_bytes,
                                                    .write_buffer_bytes = config.write_buffer_bytes,
                                                    .create = config.create},
                                                   tables));
    auto& borrowed = *engine;
    return start(std::move(engine), borrowed, config, clock);
}

Result<std::unique_ptr<EmbeddedStore>> EmbeddedStore::open(kv::Engine& engine, EmbeddedConfig const& config,
                                                           Clock const& clock) {
    return start(nullptr, engine, config, clock);
}

}  // namespace mallard::store::embedded
