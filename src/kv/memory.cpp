// The memory engine: every key keeps the versions that some view may still ask for. Correct rather than fast.

#include <cstring>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "base/attempt.hpp"
#include "kv/engine.hpp"

namespace mallard::kv {

namespace {

struct Version {
    std::uint64_t sequence;
    std::optional<std::string> value;  // none: erased
};

using Rows = std::map<std::string, std::vector<Version>, std::less<>>;

constexpr std::uint64_t newest = ~0ULL;

std::string const* visible(std::vector<Version> const& versions, std::uint64_t sequence) {
    for (auto version = versions.rbegin(); version != versions.rend(); ++version)
        if (version->sequence <= sequence) return version->value ? &*version->value : nullptr;
    return nullptr;
}

std::int64_t counter_value(std::string_view bytes) {
    std::int64_t value = 0;
    if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
    return value;
}

}  // namespace

struct MemoryState {
    mutable std::shared_mutex mutex;
    std::vector<Rows> tables;
    std::uint64_t sequence = 0;
    std::multiset<std::uint64_t> views;
    std::uint64_t commits = 0;
};

std::shared_ptr<MemoryState> new_memory_state() { return std::make_shared<MemoryState>(); }

namespace {

class MemoryView final : public View {
public:
    explicit MemoryView(std::shared_ptr<MemoryState> state) : state_(std::move(state)) {
        std::unique_lock lock(state_->mutex);
        sequence = state_->sequence;
        state_->views.insert(sequence);
    }
    ~MemoryView() override {
        std::unique_lock lock(state_->mutex);
        state_->views.erase(state_->views.find(sequence));
    }
    std::uint64_t sequence = 0;

private:
    std::shared_ptr<MemoryState> state_;
};

std::uint64_t sequence_of(View const* view) {
    return view == nullptr ? newest : static_cast<MemoryView const*>(view)->sequence;
}

// Looks its place up again by key at each move, so that no iterator outlives the lock.
class MemoryCursor final : public Cursor {
public:
    MemoryCursor(std::shared_ptr<MemoryState> state, Table table, KeyRange range, View const* view)
        : state_(state), table_(table), range_(std::move(range)) {
        if (view == nullptr) own_view_ = std::make_unique<MemoryView>(state);
        sequence_ = sequence_of(view == nullptr ? own_view_.get() : view);
        seek(range_.first);
    }

    bool valid() const override { return valid_; }
    std::string_view key() const override { return key_; }
    std::string_view value() const override { return value_; }

    void next() override {
        std::shared_lock lock(state_->mutex);
        take_forward(rows().upper_bound(key_));
    }
    void previous() override {
        std::shared_lock lock(state_->mutex);
        take_backward(rows().lower_bound(key_));
    }
    void seek(std::string_view key) override {
        std::shared_lock lock(state_->mutex);
        take_forward(rows().lower_bound(std::max<std::string_view>(key, range_.first)));
    }
    void seek_for_previous(std::string_view key) override {
        std::shared_lock lock(state_->mutex);
        take_backward(beyond(key) ? rows().lower_bound(range_.last) : rows().upper_bound(key));
    }
    void seek_last() override {
        std::shared_lock lock(state_->mutex);
        take_backward(range_.last.empty() ? rows().end() : rows().lower_bound(range_.last));
    }
    Result<void> status() const override { return {}; }

private:
    Rows const& rows() const { return state_->tables[table_]; }
    bool beyond(std::string_view key) const { return !range_.last.empty() && key >= range_.last; }

    void take_forward(Rows::const_iterator at) {
        valid_ = false;
        for (; at != rows().end() && !beyond(at->first); ++at)
            if (take(at)) return;
    }
    // From the row before `at`.
    void take_backward(Rows::const_iterator at) {
        valid_ = false;
        while (at != rows().begin()) {
            --at;
            if (at->first < range_.first) return;
            if (take(at)) return;
        }
    }
    bool take(Rows::const_iterator at) {
        auto const* value = visible(at->second, sequence_);
        if (value == nullptr) return false;
        key_ = at->first;
        value_ = *value;
        return valid_ = true;
    }

    std::shared_ptr<MemoryState> state_;
    Table table_;
    KeyRange range_;
    std::unique_ptr<View> own_view_;
    std::uint64_t sequence_ = 0;
    bool valid_ = false;
    std::string key_, value_;
};

class MemoryEngine final : public Engine {
public:
    MemoryEngine(std::shared_ptr<MemoryState> state, std::size_t tables) : state_(std::move(state)) {
        std::unique_lock lock(state_->mutex);
        if (state_->tables.size() < tables) state_->tables.resize(tables);
    }

    Result<std::optional<std::string>> get(Table table, std::string_view key, View const* view) const override {
        std::shared_lock lock(state_->mutex);
        return look_up(table, key, sequence_of(view));
    }

    Result<std::vector<std::optional<std::string>>> multi_get(Table table, std::span<std::string const> keys,
                                                              View const* view) const override {
        std::shared_lock lock(state_->mutex);
        std::vector<std::optional<std::string>> values;
        values.reserve(keys.size());
        for (auto const& key : keys) values.push_back(look_up(table, key, sequence_of(view)));
        return values;
    }

    Result<void> commit(WriteBatch const& batch, Durability) override {
        if (Attempt::active() && !batch.empty()) return Attempt::give_up();
        std::unique_lock lock(state_->mutex);
        ++state_->sequence;
        ++state_->commits;
        batch.for_each([&](WriteBatch::Op const& op) { apply(op); });
        return {};
    }

    std::unique_ptr<Cursor> scan(Table table, KeyRange range, View const* view) const override {
        return std::make_unique<MemoryCursor>(state_, table, std::move(range), view);
    }
    std::unique_ptr<View> view() const override { return std::make_unique<MemoryView>(state_); }
    Result<void> flush() override { return {}; }
    Result<void> compact() override { return {}; }

    std::vector<std::pair<std::string, double>> statistics() const override {
        std::shared_lock lock(state_->mutex);
        std::size_t keys = 0;
        for (auto const& rows : state_->tables) keys += rows.size();
        return {{"keys", static_cast<double>(keys)}, {"commits", static_cast<double>(state_->commits)}};
    }

private:
    std::optional<std::string> look_up(Table table, std::string_view key, std::uint64_t sequence) const {
        auto const& rows = state_->tables[table];
        auto const row = rows.find(key);
        auto const* value = row == rows.end() ? nullptr : visible(row->second, sequence);
        return value == nullptr ? std::nullopt : std::optional(*value);
    }

    void apply(WriteBatch::Op const& op) {
        auto& rows = state_->tables[op.table];
        switch (op.kind) {
            case WriteBatch::Kind::put: write(rows, op.key, std::string(op.value)); break;
            case WriteBatch::Kind::erase: write(rows, op.key, std::nullopt); break;
            case WriteBatch::Kind::erase_range: {
                std::vector<std::string> doomed;
                for (auto row = rows.lower_bound(op.key); row != rows.end() && row->first < op.value; ++row)
                    doomed.push_back(row->first);
                for (auto const& key : doomed) write(rows, key, std::nullopt);
                break;
            }
            case WriteBatch::Kind::add: {
                auto const before = look_up(op.table, op.key, newest);
                std::int64_t const sum = counter_value(before.value_or("")) + counter_value(op.value);
                write(rows, op.key, std::string(reinterpret_cast<char const*>(&sum), sizeof sum));
                break;
            }
        }
    }

    void write(Rows& rows, std::string_view key, std::optional<std::string> value) {
        auto row = rows.find(key);
        if (row == rows.end()) {
            if (!value) return;
            row = rows.emplace(std::string(key), std::vector<Version>{}).first;
        }
        auto& versions = row->second;
        if (!versions.empty() && versions.back().sequence == state_->sequence)
            versions.back().value = std::move(value);
        else
            versions.push_back({state_->sequence, std::move(value)});
        // What the oldest view sees, and all that came later, stays.
        std::uint64_t const oldest = state_->views.empty() ? newest : *state_->views.begin();
        std::size_t first = versions.size() - 1;
        while (first > 0 && versions[first].sequence > oldest) --first;
        versions.erase(versions.begin(), versions.begin() + static_cast<std::ptrdiff_t>(first));
        if (versions.size() == 1 && !versions.front().value) rows.erase(row);
    }

    std::shared_ptr<MemoryState> state_;
};

}  // namespace

std::unique_ptr<Engine> open_memory(std::shared_ptr<MemoryState> state, std::span<TableSpec const> tables) {
    return std::make_unique<MemoryEngine>(std::move(state), tables.size());
}

}  // namespace mallard::kv
