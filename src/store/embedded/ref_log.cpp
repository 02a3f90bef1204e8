#include "store/embedded/ref_log.hpp"

#include <algorithm>

#include "store/embedded/codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

std::string encode_ref_entry(RefEntry const& entry) {
    std::string out(1, static_cast<char>(entry.kind));
    put_numbers(out, entry.refs);
    return out;
}

Result<RefEntry> decode_ref_entry(std::string_view bytes) {
    ByteReader in(bytes);
    std::uint8_t const kind = in.byte();
    RefEntry entry{.kind = static_cast<RefEntry::Kind>(kind), .refs = get_numbers(in)};
    if (!in.ok() || !in.at_end() || kind < 1 || kind > 2)
        return fail(ErrorKind::corrupt, "Stored data is damaged; run the check command", "reference log");
    return entry;
}

RefLog::Pending& RefLog::Pending::operator=(Pending&& other) noexcept {
    std::swap(log_, other.log_);
    std::swap(first_, other.first_);
    return *this;
}

RefLog::Pending::~Pending() {
    if (!log_) return;
    std::lock_guard const lock(log_->mutex_);
    log_->pending_.erase(first_);
}

Result<void> RefLog::load() {
    if (next_ != 0) return {};
    auto const cursor = engine_.scan(table_ref_log, {});
    cursor->seek_last();
    MALLARD_TRY(cursor->status());
    next_ = cursor->valid() ? get_be64(cursor->key()) + 1 : 1;
    return {};
}

Result<RefLog::Pending> RefLog::log(RefEntry::Kind kind, std::span<BodyRef const> refs, kv::WriteBatch& batch) {
    Pending pending;
    if (refs.empty()) return pending;
    std::uint64_t number = 0;
    {
        std::lock_guard const lock(mutex_);
        MALLARD_TRY(load());
        number = next_;
        next_ += (refs.size() + entry_refs_max - 1) / entry_refs_max;
        pending_.insert(number);
        pending.log_ = this;
        pending.first_ = number;
    }
    while (!refs.empty()) {
        auto const part = refs.first(std::min(refs.size(), entry_refs_max));
        batch.put(table_ref_log, key_of(number++), encode_ref_entry({kind, {part.begin(), part.end()}}));
        refs = refs.subspan(part.size());
    }
    return pending;
}

Result<std::uint64_t> RefLog::settled_end() {
    std::lock_guard const lock(mutex_);
    MALLARD_TRY(load());
    return pending_.empty() ? next_ : *pending_.begin();
}

}  // namespace mallard::store::embedded
