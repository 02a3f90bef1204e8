#include "store/embedded/index_codec.hpp"

#include <algorithm>

#include "store/embedded/codec.hpp"

namespace mallard::store::embedded {

namespace {

std::unexpected<Error> damaged(std::string_view what) {
    return fail(ErrorKind::corrupt, "Stored data is damaged; run the check command", std::string(what));
}

std::uint64_t id_seconds(ObjectId const& id) { return get_be32(id.view()); }
std::uint64_t id_process(ObjectId const& id) {
    std::uint64_t v = 0;
    for (int i = 4; i < 9; ++i) v = v << 8 | id.bytes[i];
    return v;
}
std::uint64_t id_counter(ObjectId const& id) {
    return std::uint64_t{id.bytes[9]} << 16 | std::uint64_t{id.bytes[10]} << 8 | id.bytes[11];
}
template <std::size_t begin, std::size_t end>
void set_id(ObjectId& id, std::uint64_t value) {
    for (std::size_t i = end; i-- > begin; value >>= 8) id.bytes[i] = static_cast<std::uint8_t>(value);
}

// Writing packs the differences to the row before, reading adds them up.
template <class Get>
void put_differences(std::string& out, std::span<Row const> rows, std::vector<std::uint64_t>& column, Get get) {
    std::uint64_t previous = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        std::uint64_t const value = get(rows[i]);
        column[i] = zigzag(static_cast<std::int64_t>(value - previous));
        previous = value;
    }
    put_column(out, column);
}
template <class Set>
bool get_differences(ByteReader& in, std::size_t count, Set set) {
    std::uint64_t value = 0;
    return get_column(in, count, [&](std::size_t i, std::uint64_t step) {
        value += static_cast<std::uint64_t>(unzigzag(step));
        set(i, value);
    });
}

void put_rows(std::string& out, std::span<Row const> rows, bool with_modseq) {
    put_varint(out, rows.size());
    std::vector<std::uint64_t> column(rows.size());
    auto differences = [&](auto get) { put_differences(out, rows, column, get); };
    auto values = [&](auto get) {
        for (std::size_t i = 0; i < rows.size(); ++i) column[i] = get(rows[i]);
        put_column(out, column);
    };
    differences([](Row const& r) { return std::uint64_t{r.uid}; });
    differences([](Row const& r) { return r.body; });
    values([](Row const& r) { return r.size; });
    differences([](Row const& r) { return static_cast<std::uint64_t>(r.internal_date / 1000); });
    values([](Row const& r) { return std::uint64_t{r.system}; });
    values([](Row const& r) { return r.keywords.low; });
    values([](Row const& r) { return r.keywords.high; });
    differences([](Row const& r) { return id_seconds(r.id); });
    differences([](Row const& r) { return id_process(r.id); });
    differences([](Row const& r) { return id_counter(r.id); });
    if (with_modseq) differences([](Row const& r) { return r.modseq; });
}

// What reading gives each number to: rows, or a summary of them.
struct ToRows {
    std::vector<Row>& rows;
    void count(std::size_t n) { rows.resize(n); }
    void uid(std::size_t i, std::uint64_t v) { rows[i].uid = static_cast<Uid>(v); }
    void body(std::size_t i, std::uint64_t v) { rows[i].body = v; }
    void size(std::size_t i, std::uint64_t v) { rows[i].size = v; }
    void date(std::size_t i, std::uint64_t v) { rows[i].internal_date = static_cast<TimeMs>(v * 1000); }
    void system(std::size_t i, std::uint64_t v) { rows[i].system = static_cast<std::uint8_t>(v); }
    void keywords_low(std::size_t i, std::uint64_t v) { rows[i].keywords.low = v; }
    void keywords_high(std::size_t i, std::uint64_t v) { rows[i].keywords.high = v; }
    void id_seconds(std::size_t i, std::uint64_t v) { set_id<0, 4>(rows[i].id, v); }
    void id_process(std::size_t i, std::uint64_t v) { set_id<4, 9>(rows[i].id, v); }
    void id_counter(std::size_t i, std::uint64_t v) { set_id<9, 12>(rows[i].id, v); }
    void modseq(std::size_t i, std::uint64_t v) { rows[i].modseq = v; }
};

struct ToSummary {
    ChunkSummary summary;
    bool ordered = true;
    void count(std::size_t n) { summary.rows = static_cast<std::uint32_t>(n); }
    void uid(std::size_t i, std::uint64_t v) {
        Uid const uid = static_cast<Uid>(v);
        if (i == 0) summary.first = uid;
        ordered = ordered && v <= UINT32_MAX && uid > summary.last;
        summary.last = uid;
    }
    void body(std::size_t, std::uint64_t) {}
    void size(std::size_t, std::uint64_t v) { summary.bytes += v; }
    void date(std::size_t, std::uint64_t) {}
    void system(std::size_t, std::uint64_t v) {
        summary.unseen += !(v & seen);
        summary.deleted += (v & deleted) != 0;
    }
    void keywords_low(std::size_t, std::uint64_t) {}
    void keywords_high(std::size_t, std::uint64_t) {}
    void id_seconds(std::size_t, std::uint64_t) {}
    void id_process(std::size_t, std::uint64_t) {}
    void id_counter(std::size_t, std::uint64_t) {}
    void modseq(std::size_t, std::uint64_t v) { summary.max_modseq = std::max(summary.max_modseq, v); }
};

template <class To>
bool get_rows(ByteReader& in, To& to, bool with_modseq) {
    std::uint64_t const count = in.varint();
    if (!in.ok() || count > packed_numbers_max) return false;
    to.count(count);
    auto const differences = [&](auto set) {
        return get_differences(in, count, [&](std::size_t i, std::uint64_t v) { (to.*set)(i, v); });
    };
    auto const values = [&](auto set) {
        return get_column(in, count, [&](std::size_t i, std::uint64_t v) { (to.*set)(i, v); });
    };
    return differences(&To::uid) && differences(&To::body) && values(&To::size) && differences(&To::date) &&
           values(&To::system) && values(&To::keywords_low) && values(&To::keywords_high) &&
           differences(&To::id_seconds) && differences(&To::id_process) && differences(&To::id_counter) &&
           (!with_modseq || differences(&To::modseq));
}

void put_uids(std::string& out, UidSet const& uids) {
    put_varint(out, uids.ranges().size());
    std::uint32_t previous = 0;
    for (auto const& range : uids.ranges()) {
        put_varint(out, range.first - previous);
        put_varint(out, range.last - range.first);
        previous = range.last;
    }
}

bool get_uids(ByteReader& in, UidSet& uids) {
    std::uint64_t const count = in.varint();
    std::uint64_t previous = 0;
    for (std::uint64_t i = 0; i < count && in.ok(); ++i) {
        std::uint64_t const first = previous + in.varint();
        std::uint64_t const last = first + in.varint();
        if (last > UINT32_MAX) return false;
        uids.add(static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last));
        previous = last;
    }
    return in.ok();
}

}  // namespace

std::string encode_change(Change const& change) {
    std::string out;
    out.push_back(static_cast<char>(change.kind));
    put_varint(out, change.names.size());
    for (auto const& [number, name] : change.names) {
        put_varint(out, number);
        put_text(out, name);
    }
    switch (change.kind) {
        case Change::Kind::rows: put_rows(out, change.rows, false); break;
        case Change::Kind::flags:
            out.push_back(static_cast<char>(change.mode));
            out.push_back(static_cast<char>(change.system));
            put_varint(out, change.keywords.low);
            put_varint(out, change.keywords.high);
            put_uids(out, change.uids);
            break;
        case Change::Kind::expunge: put_uids(out, change.uids); break;
    }
    return out;
}

Result<Change> decode_change(std::string_view bytes, ModSeq modseq) {
    ByteReader in(bytes);
    Change change;
    std::uint8_t const kind = in.byte();
    std::uint64_t const names = in.varint();
    for (std::uint64_t i = 0; i < names && in.ok(); ++i) {
        std::uint64_t const number = in.varint();
        auto const name = in.text();
        if (number >= keywords_max) return damaged("journal: keyword number");
        change.names.emplace_back(static_cast<unsigned>(number), std::string(name));
    }
    bool good = in.ok() && kind >= 1 && kind <= 3;
    if (good) {
        change.kind = static_cast<Change::Kind>(kind);
        switch (change.kind) {
            case Change::Kind::rows: {
                ToRows to_rows{change.rows};
                good = get_rows(in, to_rows, false);
                for (Row& row : change.rows) row.modseq = modseq;
                break;
            }
            case Change::Kind::flags: {
                std::uint8_t const mode = in.byte();
                change.mode = static_cast<FlagMode>(mode);
                change.system = in.byte();
                change.keywords.low = in.varint();
                change.keywords.high = in.varint();
                good = get_uids(in, change.uids) && mode <= static_cast<std::uint8_t>(FlagMode::remove);
                break;
            }
            case Change::Kind::expunge: good = get_uids(in, change.uids); break;
        }
    }
    if (!good || !in.at_end()) return damaged("journal: change");
    return change;
}

std::string encode_rows(std::span<Row const> rows) {
    std::string out;
    put_rows(out, rows, true);
    return out;
}

Result<std::vector<Row>> decode_rows(std::string_view bytes) {
    ByteReader in(bytes);
    std::vector<Row> rows;
    ToRows to{rows};
    if (!get_rows(in, to, true) || !in.at_end()) return damaged("index: rows");
    return rows;
}

Result<ChunkSummary> summarize_rows(std::string_view bytes) {
    ByteReader in(bytes);
    ToSummary to;
    if (!get_rows(in, to, true) || !in.at_end()) return damaged("index: rows");
    if (to.summary.rows == 0 || !to.ordered) return damaged("index: order of uids");
    return to.summary;
}

std::string encode_uids(UidSet const& uids) {
    std::string out;
    put_uids(out, uids);
    return out;
}

Result<UidSet> decode_uids(std::string_view bytes) {
    ByteReader in(bytes);
    UidSet uids;
    if (!get_uids(in, uids) || !in.at_end()) return damaged("vanished: uids");
    return uids;
}

std::string encode_head(CheckpointHead const& head) {
    std::string out;
    put_varint(out, head.modseq);
    put_varint(out, head.uid_next);
    put_varint(out, head.keywords.size());
    for (auto const& name : head.keywords) put_text(out, name);
    return out;
}

Result<CheckpointHead> decode_head(std::string_view bytes) {
    ByteReader in(bytes);
    CheckpointHead head;
    head.modseq = in.varint();
    head.uid_next = static_cast<Uid>(in.varint());
    std::uint64_t const count = in.varint();
    if (count > keywords_max) return damaged("index: head");
    for (std::uint64_t i = 0; i < count; ++i) head.keywords.emplace_back(in.text());
    if (!in.ok() || !in.at_end()) return damaged("index: head");
    return head;
}

std::vector<std::pair<unsigned, std::string>> keyword_names(KeywordBits bits, std::vector<std::string> const& all) {
    std::vector<std::pair<unsigned, std::string>> names;
    if (bits.none()) return names;
    for (unsigned n = 0; n < all.size(); ++n)
        if (bits.test(n)) names.emplace_back(n, all[n]);
    return names;
}

}  // namespace mallard::store::embedded
