#include "store/embedded/index_codec.hpp"

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
bool get_differences(ByteReader& in, std::vector<Row>& rows, Set set) {
    std::uint64_t value = 0;
    return get_column(in, rows.size(), [&](std::size_t i, std::uint64_t step) {
        value += static_cast<std::uint64_t>(unzigzag(step));
        set(rows[i], value);
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

bool get_rows(ByteReader& in, std::vector<Row>& rows, bool with_modseq) {
    std::uint64_t const count = in.varint();
    if (!in.ok() || count > packed_numbers_max) return false;
    rows.resize(count);
    auto const differences = [&](auto set) { return get_differences(in, rows, set); };
    auto const values = [&](auto set) {
        return get_column(in, rows.size(), [&](std::size_t i, std::uint64_t v) { set(rows[i], v); });
    };
    return differences([](Row& r, std::uint64_t v) { r.uid = static_cast<Uid>(v); }) &&
           differences([](Row& r, std::uint64_t v) { r.body = v; }) &&
           values([](Row& r, std::uint64_t v) { r.size = v; }) &&
           differences([](Row& r, std::uint64_t v) { r.internal_date = static_cast<TimeMs>(v * 1000); }) &&
           values([](Row& r, std::uint64_t v) { r.system = static_cast<std::uint8_t>(v); }) &&
           values([](Row& r, std::uint64_t v) { r.keywords.low = v; }) &&
           values([](Row& r, std::uint64_t v) { r.keywords.high = v; }) &&
           differences([](Row& r, std::uint64_t v) { set_id<0, 4>(r.id, v); }) &&
           differences([](Row& r, std::uint64_t v) { set_id<4, 9>(r.id, v); }) &&
           differences([](Row& r, std::uint64_t v) { set_id<9, 12>(r.id, v); }) &&
           (!with_modseq || differences([](Row& r, std::uint64_t v) { r.modseq = v; }));
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
            case Change::Kind::rows:
                good = get_rows(in, change.rows, false);
                for (Row& row : change.rows) row.modseq = modseq;
                break;
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
    if (!get_rows(in, rows, true) || !in.at_end()) return damaged("index: rows");
    return rows;
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
