// What REST says of messages, and messages that expire (storage.md §11.5, §17.4).
#include <algorithm>
#include <cmath>
#include <map>

#include "store/cluster/mail_store.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Document;

constexpr std::int64_t expired_batch = 500;
constexpr std::int64_t retention_batch = 150;

Array as_array(std::vector<Uid> const& uids) {
    Array list;
    for (Uid const uid : uids) list.push_back(bson::number(uid));
    return list;
}

// When the message came into its mailbox: written by all, but by old servers not.
double entered(Document const& message) {
    if (auto const* time = message.find("retentionTime"))
        if (auto const ms = time->as_double()) return *ms;
    auto const id = message.id("_id");
    return id ? static_cast<double>(id->seconds()) * 1000 : 0;
}

}  // namespace

Result<UidSet> ClusterMailStore::patch(MailboxId id, UidSet const& uids, MessagePatch const& patch) {
    UidSet patched;
    MALLARD_TRY_ASSIGN(auto const index, snapshot(id));
    std::vector<Uid> wanted;
    index->for_uids(uids, [&](std::uint32_t, Row const& row) {
        wanted.push_back(row.uid);
        patched.add(row.uid);
    });
    Document set, unset;
    if (patch.custom) set.set("meta.custom", *patch.custom);
    if (patch.expires) {
        set.set("exp", patch.expires->has_value());
        if (*patch.expires)
            set.set("rdate", static_cast<double>(**patch.expires));
        else
            unset.set("rdate", "");
        unset.set("retention", "");
    }
    if (set.empty() || wanted.empty()) return patched;
    Document update{{"$set", std::move(set)}};
    if (!unset.empty()) update.set("$unset", std::move(unset));
    constexpr std::size_t per_write = 1'000;
    for (std::size_t at = 0; at < wanted.size(); at += per_write) {
        std::vector<Uid> const some(
            wanted.begin() + static_cast<std::ptrdiff_t>(at),
            wanted.begin() + static_cast<std::ptrdiff_t>(std::min(wanted.size(), at + per_write)));
        MALLARD_TRY(mongo_.write(Db::main, "messages",
                                 {.kind = Write::Kind::update_many,
                                  .filter = {{"mailbox", id}, {"uid", Document{{"$in", as_array(some)}}}},
                                  .document = update}));
    }
    return patched;
}

Result<std::optional<TimeMs>> ClusterMailStore::expiry(MailboxId id, Row const& row) const {
    MALLARD_TRY_ASSIGN(auto const found, documents_of(id, {row.uid}, {{"exp", 1}, {"rdate", 1}}));
    if (found.empty()) return fail(ErrorKind::not_found, "there is no such message");
    auto const* rdate = found.front().find("rdate");
    auto const ms = rdate ? rdate->as_double() : std::nullopt;
    if (!found.front().boolean("exp") || !ms) return std::nullopt;
    return static_cast<TimeMs>(*ms);
}

Result<std::map<Uid, MessagePatch>> ClusterMailStore::patches(MailboxId id) const {
    constexpr double slack_ms = 2'000;  // between the two moments when retentionTime and rdate were reckoned
    Document const told{{"mailbox", id},
                        {"$or", Array{Document{{"retention", Document{{"$exists", false}}}}, Document{{"exp", true}},
                                      Document{{"meta.custom", Document{{"$exists", true}}}}}}};
    std::map<Uid, MessagePatch> out;
    MALLARD_TRY(mongo_.find_each(
        Db::main, "messages", told,
        {.projection = {{"uid", 1}, {"exp", 1}, {"rdate", 1}, {"retention", 1}, {"retentionTime", 1}, {"meta", 1}}},
        [&](Document const& message) {
            MessagePatch patch;
            auto const* rdate = message.find("rdate");
            auto const when = rdate ? rdate->as_double() : std::nullopt;
            bool const expires = message.boolean("exp") && when;
            auto const* retention = message.find("retention");
            auto const kept_for = retention ? retention->as_double() : std::nullopt;
            // Else what the mailbox's retention says.
            if (!kept_for || (expires && std::abs(*when - entered(message) - *kept_for) > slack_ms))
                patch.expires = expires ? std::optional(static_cast<TimeMs>(*when)) : std::nullopt;
            auto const* meta = message.document("meta");
            if (auto const* custom = meta ? meta->find("custom") : nullptr)
                if (auto const* text = custom->as<std::string>()) patch.custom = *text;
            if (patch.custom || patch.expires) out.emplace(static_cast<Uid>(message.integer("uid")), std::move(patch));
            return true;
        }));
    return out;
}

Result<void> ClusterMailStore::apply_retention(MailboxInfo const& info) {
    if (info.retention_ms <= 0) {
        MALLARD_TRY(mongo_.write(
            Db::main, "messages",
            {.kind = Write::Kind::update_many,
             .filter = {{"mailbox", info.id}},
             .document = {{"$set", Document{{"exp", false}, {"retention", 0}}}, {"$unset", Document{{"rdate", ""}}}}}));
        return {};
    }
    Uid last = 0;
    while (true) {
        MALLARD_TRY_ASSIGN(
            auto const messages,
            mongo_.find(
                Db::main, "messages", {{"mailbox", info.id}, {"uid", Document{{"$gt", bson::number(last)}}}},
                {.projection = {{"uid", 1}, {"retentionTime", 1}}, .sort = {{"uid", 1}}, .limit = retention_batch}));
        std::vector<Write> writes;
        for (auto const& message : messages) {
            last = static_cast<Uid>(message.integer("uid"));
            double const since = entered(message);
            writes.push_back(
                {.kind = Write::Kind::update_one,
                 .filter = {{"_id", *message.find("_id")}, {"mailbox", info.id}, {"uid", *message.find("uid")}},
                 .document = {{"$set", Document{{"retentionTime", since},
                                                {"retention", bson::number(info.retention_ms)},
                                                {"exp", true},
                                                {"rdate", since + static_cast<double>(info.retention_ms)}}}}});
        }
        if (writes.empty()) return {};
        MALLARD_TRY_ASSIGN(auto const written, mongo_.bulk(Db::main, "messages", writes, false));
        if (!written.failures.empty()) return std::unexpected(written.failures.front().error);
    }
}

Result<std::uint64_t> ClusterMailStore::remove_expired() {
    Document const due{{"exp", true}, {"rdate", Document{{"$lte", static_cast<double>(clock_.now())}}}};
    MALLARD_TRY_ASSIGN(
        auto const found,
        mongo_.find(Db::main, "messages", due, {.projection = {{"uid", 1}, {"mailbox", 1}}, .limit = expired_batch}));
    std::map<MailboxId, std::vector<Uid>> by_mailbox;
    for (auto const& message : found)
        if (auto const mailbox = message.id("mailbox"))
            by_mailbox[MailboxId(*mailbox)].push_back(static_cast<Uid>(message.integer("uid")));
    std::uint64_t removed = 0;
    for (auto& [id, uids] : by_mailbox) {
        std::ranges::sort(uids);
        UidSet set;
        for (Uid const uid : uids) set.add(uid);
        auto const gone = expunge(id, set, false);
        if (gone) {
            removed += gone->count();
        } else if (gone.error().kind == ErrorKind::not_found) {  // of a mailbox that was deleted
            MALLARD_TRY(remove_all(id, true, due));
            removed += uids.size();
        } else {
            return std::unexpected(gone.error());
        }
    }
    return removed;
}

}  // namespace mallard::store::cluster
