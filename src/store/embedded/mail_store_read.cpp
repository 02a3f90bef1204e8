// Reading what never changes, many messages at a time: in runs of neighbours with a cursor, else with batched gets.

#include <algorithm>
#include <numeric>

#include "store/embedded/codec.hpp"
#include "store/embedded/extras.hpp"
#include "store/embedded/mail_store.hpp"
#include "store/embedded/pieces.hpp"
#include "store/embedded/record_codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr std::size_t window_rows_max = 128;
constexpr std::uint64_t window_octets_max = 1024 * 1024;
constexpr std::uint64_t neighbours_span = 4;  // a cursor passes over at most so many others for each it is asked for

struct Wanted {
    std::size_t n;  // the caller's number
    BodyRef ref;
    std::uint64_t octets;  // at most, for the size of a window
};

// Reads the values under the references; they need not be sorted.
class ManyReader {
public:
    ManyReader(kv::Engine& engine, kv::Table table) : engine_(engine), table_(table) {}

    template <class Visit>
    Result<void> read(std::span<Wanted const> wanted, Visit&& visit) {
        while (!wanted.empty()) {
            std::size_t n = 1;
            std::uint64_t octets = wanted[0].octets;
            BodyRef least = wanted[0].ref, most = wanted[0].ref;
            bool ascending = true;
            while (n < wanted.size() && n < window_rows_max && octets + wanted[n].octets <= window_octets_max) {
                ascending = ascending && wanted[n].ref > wanted[n - 1].ref;
                least = std::min(least, wanted[n].ref);
                most = std::max(most, wanted[n].ref);
                octets += wanted[n++].octets;
            }
            auto const window = wanted.first(n);
            wanted = wanted.subspan(n);
            if (n <= 4 || (most - least) / 2 >= n * neighbours_span)
                MALLARD_TRY(fetch(window, visit));
            else if (ascending)
                MALLARD_TRY(walk(window, visit));
            else
                MALLARD_TRY(walk_disordered(window, visit));
        }
        return {};
    }

private:
    std::optional<std::string_view> find(BodyRef wanted) {
        if (!cursor_) cursor_ = engine_.scan(table_, {});
        // Usually the cursor stands right before what comes next.
        if (placed_ && cursor_->valid()) cursor_->next();
        if (!placed_ || !cursor_->valid() || ref() != wanted || cursor_->key().size() != 8) {
            cursor_->seek(key_of(wanted));
            placed_ = true;
        }
        if (!cursor_->valid() || cursor_->key().size() != 8 || ref() != wanted) return std::nullopt;
        return cursor_->value();
    }

    template <class Visit>
    Result<void> walk(std::span<Wanted const> window, Visit& visit) {
        for (auto const& item : window) {
            auto const value = find(item.ref);
            MALLARD_TRY(cursor_->status());
            MALLARD_TRY(visit(item, value));
        }
        return {};
    }

    // Deliveries that came at once have neighbouring references in another order than their UIDs: read in the order of
    // the references, then visited in theirs.
    template <class Visit>
    Result<void> walk_disordered(std::span<Wanted const> window, Visit& visit) {
        order_.resize(window.size());
        std::iota(order_.begin(), order_.end(), std::size_t{0});
        std::ranges::sort(order_, {}, [&](std::size_t n) { return window[n].ref; });
        values_.resize(std::max(values_.size(), window.size()));
        found_.assign(window.size(), false);
        for (std::size_t const n : order_) {
            auto const value = find(window[n].ref);
            MALLARD_TRY(cursor_->status());
            found_[n] = value.has_value();
            if (value) values_[n].assign(*value);
        }
        for (std::size_t n = 0; n < window.size(); ++n)
            MALLARD_TRY(visit(window[n], found_[n] ? std::optional<std::string_view>(values_[n]) : std::nullopt));
        return {};
    }
    BodyRef ref() const { return get_be64(cursor_->key()); }

    template <class Visit>
    Result<void> fetch(std::span<Wanted const> window, Visit& visit) {
        keys_.clear();
        for (auto const& item : window) keys_.push_back(key_of(item.ref));
        MALLARD_TRY_ASSIGN(auto const values, engine_.multi_get(table_, keys_));
        for (std::size_t i = 0; i < window.size(); ++i)
            MALLARD_TRY(visit(window[i], values[i] ? std::optional<std::string_view>(*values[i]) : std::nullopt));
        return {};
    }

    kv::Engine& engine_;
    kv::Table table_;
    std::unique_ptr<kv::Cursor> cursor_;
    bool placed_ = false;
    std::vector<std::string> keys_, values_;
    std::vector<std::size_t> order_;
    std::vector<bool> found_;
};

}  // namespace

Result<void> EmbeddedMailStore::records(MailboxId mailbox, std::span<Row const* const> rows, unsigned fields,
                                        std::function<void(std::size_t, MessageRecord const&)> const& visit) {
    std::map<Uid, Extra> extras;  // only REST asks for `meta`, and few messages have any
    if (fields & want_meta && !rows.empty()) {
        auto const [first, last] = std::ranges::minmax(rows, {}, [](Row const* row) { return row->uid; });
        MALLARD_TRY_ASSIGN(extras, read_extras(engine_, mailbox, {{first->uid, last->uid}}));
    }
    std::vector<Wanted> wanted;
    wanted.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i) wanted.push_back({i, rows[i]->body, 0});
    MessageRecord record;
    return ManyReader(engine_, table_record)
        .read(wanted, [&](Wanted const& item, std::optional<std::string_view> value) -> Result<void> {
            if (!value) return {};  // expunged and freed
            MALLARD_TRY(decode_record(*value, fields, record));
            if (auto const extra = extras.find(rows[item.n]->uid); extra != extras.end())
                apply_custom(extra->second, record.meta);
            visit(item.n, record);
            return {};
        });
}

Result<std::unique_ptr<BodyReader>> EmbeddedMailStore::body(MailboxId, Row const& row) {
    return content_.open(row.body);
}

Result<void> EmbeddedMailStore::bodies(MailboxId, std::span<Row const* const> rows,
                                       std::function<void(std::size_t, std::optional<std::string_view>)> const& visit) {
    std::vector<Wanted> wanted;
    wanted.reserve(rows.size());
    for (std::size_t i = 0; i < rows.size(); ++i)
        if (rows[i]->size <= body_batch_max) wanted.push_back({i, rows[i]->body, rows[i]->size});
    std::string octets;
    std::size_t next = 0;
    auto const skip_to = [&](std::size_t n) {
        while (next < n) visit(next++, std::nullopt);
    };
    auto const read = ManyReader(engine_, table_body)
                          .read(wanted, [&](Wanted const& item, std::optional<std::string_view> value) -> Result<void> {
                              skip_to(item.n);
                              ++next;
                              if (!value) return visit(item.n, std::nullopt), Result<void>{};
                              octets.clear();
                              MALLARD_TRY(content_.read_whole(item.ref, *value, octets));
                              visit(item.n, octets);
                              return {};
                          });
    MALLARD_TRY(read);
    skip_to(rows.size());
    return {};
}

}  // namespace mallard::store::embedded
