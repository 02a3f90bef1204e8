#pragma once
// RefLog: which bodies gained or lost a reference, written in the batch that did it and counted later by the sweep. So
// COPY and EXPUNGE of 100,000 messages write a few packed entries instead of as many counters.
//
// - Entries are counted in the order of their sequence numbers. A copy takes its number while the row it copies is
//   alive and its mailbox locked, so a gain always comes before the loss of the row that it came from.
// - The sweep stops below the first number whose commit is still on its way.
// Thread-safe.

#include <mutex>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kv/engine.hpp"
#include "store/embedded/content.hpp"

namespace mallard::store::embedded {

struct RefEntry {
    enum class Kind : std::uint8_t { gained = 1, lost = 2 };
    Kind kind = Kind::gained;
    std::vector<BodyRef> refs;
};
std::string encode_ref_entry(RefEntry const& entry);
Result<RefEntry> decode_ref_entry(std::string_view bytes);  // corrupt

class RefLog {
public:
    static constexpr std::size_t entry_refs_max = 4096;  // more become several entries

    explicit RefLog(kv::Engine& engine) : engine_(engine) {}

    // Numbers of entries whose commit is on its way; over with its destruction.
    class Pending {
    public:
        Pending() = default;
        Pending(Pending&& other) noexcept : log_(std::exchange(other.log_, nullptr)), first_(other.first_) {}
        Pending& operator=(Pending&& other) noexcept;
        ~Pending();

    private:
        friend class RefLog;
        RefLog* log_ = nullptr;
        std::uint64_t first_ = 0;
    };
    // Adds the entries to the batch. The caller holds the lock of the mailbox whose rows these are.
    Result<Pending> log(RefEntry::Kind kind, std::span<BodyRef const> refs, kv::WriteBatch& batch);

    Result<std::uint64_t> settled_end();  // entries below are committed, or never will be

private:
    Result<void> load();

    kv::Engine& engine_;
    std::mutex mutex_;
    std::uint64_t next_ = 0;  // 0: not yet known
    std::set<std::uint64_t> pending_;
};

}  // namespace mallard::store::embedded
