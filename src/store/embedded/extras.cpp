#include "store/embedded/extras.hpp"

#include <vector>

#include "store/bson.hpp"
#include "store/embedded/codec.hpp"
#include "store/embedded/tables.hpp"

namespace mallard::store::embedded {

namespace {

constexpr Uid uid_last = UINT32_MAX;

std::vector<Uid> listed(UidSet const& uids) {
    std::vector<Uid> list;
    for (auto const& range : uids.ranges())
        for (std::uint64_t uid = range.first; uid <= range.last; ++uid) list.push_back(static_cast<Uid>(uid));
    return list;
}

}  // namespace

std::string encode_extra(Extra const& extra) {
    bson::Document document;
    if (extra.custom) document.set("custom", *extra.custom);
    if (extra.expires)
        document.set("expires", *extra.expires ? bson::Value(bson::Date{**extra.expires}) : bson::Value());
    return document.encode();
}

Result<Extra> decode_extra(std::string_view bytes) {
    MALLARD_TRY_ASSIGN(auto const document, bson::Document::decode(bytes));
    Extra extra;
    if (auto const* custom = document.find("custom"); custom && custom->as<std::string>())
        extra.custom = *custom->as<std::string>();
    if (document.find("expires")) extra.expires.emplace(document.date("expires"));
    return extra;
}

Result<std::map<Uid, Extra>> read_extras(kv::Engine const& engine, MailboxId mailbox, UidSet const& uids) {
    std::map<Uid, Extra> extras;
    if (uids.empty()) return extras;
    Uid const first = uids.ranges().front().first, last = uids.ranges().back().last;
    kv::KeyRange range = kv::KeyRange::prefix(mailbox.view());
    range.first = key_of(mailbox, first);
    if (last < uid_last) range.last = key_of(mailbox, static_cast<std::uint32_t>(last + 1));
    auto const cursor = engine.scan(table_extra, range);
    for (; cursor->valid(); cursor->next()) {
        Uid const uid = get_be32(cursor->key().substr(mailbox.view().size()));
        if (!uids.contains(uid)) continue;
        MALLARD_TRY_ASSIGN(auto extra, decode_extra(cursor->value()));
        extras.emplace(uid, std::move(extra));
    }
    MALLARD_TRY(cursor->status());
    return extras;
}

void put_extra(MailboxId mailbox, Uid uid, Extra const& extra, kv::WriteBatch& batch) {
    if (extra.empty())
        batch.erase(table_extra, key_of(mailbox, uid));
    else
        batch.put(table_extra, key_of(mailbox, uid), encode_extra(extra));
}

Result<void> erase_extras(kv::Engine const& engine, MailboxId mailbox, UidSet const& uids, kv::WriteBatch& batch) {
    MALLARD_TRY_ASSIGN(auto const extras, read_extras(engine, mailbox, uids));
    for (auto const& [uid, extra] : extras) batch.erase(table_extra, key_of(mailbox, uid));
    return {};
}

Result<void> carry_extras(kv::Engine const& engine, MailboxId from, UidSet const& source, MailboxId to,
                          UidSet const& target, bool moving, kv::WriteBatch& batch) {
    MALLARD_TRY_ASSIGN(auto const extras, read_extras(engine, from, source));
    if (extras.empty()) return {};
    auto const before = listed(source), after = listed(target);
    for (std::size_t i = 0; i < before.size() && i < after.size(); ++i) {
        auto const found = extras.find(before[i]);
        if (found == extras.end()) continue;
        if (found->second.custom) put_extra(to, after[i], {.custom = found->second.custom, .expires = {}}, batch);
        if (moving) batch.erase(table_extra, key_of(from, before[i]));
    }
    return {};
}

Result<void> take_back_expiries(kv::Engine const& engine, MailboxId mailbox, kv::WriteBatch& batch) {
    MALLARD_TRY_ASSIGN(auto const extras, read_extras(engine, mailbox, {{1, uid_last}}));
    for (auto const& [uid, extra] : extras)
        if (extra.expires) put_extra(mailbox, uid, {.custom = extra.custom, .expires = {}}, batch);
    return {};
}

void apply_custom(Extra const& extra, std::string& meta) {
    if (!extra.custom) return;
    auto document = meta.empty() ? bson::Document{} : bson::Document::decode(meta).value_or(bson::Document{});
    document.set("custom", *extra.custom);
    meta = document.encode();
}

}  // namespace mallard::store::embedded
