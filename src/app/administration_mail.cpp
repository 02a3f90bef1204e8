#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/administration.hpp"
#include "base/encoding.hpp"
#include "store/bson.hpp"

namespace mallard::app {

namespace {

// What import writes into the message's meta: the hash of what was imported, so that a broken-off import can be run
// again. It commits with the message itself, so the two never disagree.
constexpr std::string_view import_hash_field = "importHash";

std::string import_meta(std::string const& hash, TimeMs now) {
    bson::Document meta;
    meta.set("source", bson::Value("IMPORT"));
    meta.set("transtype", bson::Value("IMPORT"));
    meta.set("time", bson::Value(bson::Date{now}));
    meta.set(import_hash_field, bson::Value(hash));
    return meta.encode();
}

Json flags_to_json(store::Flags const& flags) {
    Json out = Json::array();
    for (std::string_view name : store::system_flag_names(flags.system)) out.push_back(name);
    for (std::string const& keyword : flags.keywords) out.push_back(keyword);
    return out;
}

store::Flags flags_from_json(Json const& names) {
    store::Flags flags;
    for (Json const& entry : names) {
        auto const name = entry.get<std::string>();
        if (std::uint8_t const bit = store::system_flag(name); bit != 0)
            flags.system |= bit;
        else
            flags.keywords.push_back(name);
    }
    return flags;
}

std::vector<store::Row const*> all_rows(store::MailboxIndex const& index) {
    std::vector<store::Row const*> rows;
    rows.reserve(index.size());
    for (auto const& chunk : index.chunks)
        for (store::Row const& row : chunk->rows()) rows.push_back(&row);
    return rows;
}

Result<MailboxId> mailbox_id(Json const& request) {
    auto const id = MailboxId::from_hex(request.at("mailbox").get<std::string>());
    if (!id) return fail(ErrorKind::invalid, "malformed mailbox id");
    return *id;
}

Result<UserId> user_id(Json const& request) {
    auto const id = UserId::from_hex(request.at("user").get<std::string>());
    if (!id) return fail(ErrorKind::invalid, "malformed user id");
    return *id;
}

Result<void> send_message(Core& core, MailboxId mailbox, store::MailboxIndex const& index, store::Row const& row,
                          Channel& channel) {
    MALLARD_TRY_ASSIGN(auto const body, core.mailboxes->store().body(mailbox, row));
    MALLARD_TRY(channel.send(Json{{"message",
                                   {{"uid", row.uid},
                                    {"id", row.id.hex()},
                                    {"flags", flags_to_json(index.flags(row))},
                                    {"date", row.internal_date},
                                    {"size", body->size()}}}}));
    for (std::uint64_t offset = 0; offset < body->size(); offset += bytes_frame_max) {
        std::string piece;
        MALLARD_TRY(body->read(offset, bytes_frame_max, piece));
        MALLARD_TRY(channel.send_bytes(piece));
    }
    return {};
}

}  // namespace

// {"who", "path"} -> {"user", "mailbox", "hashes": {hash: how often it was imported here}}. Makes the mailbox.
Result<Json> import_mailbox(Core& core, Json const& request, Channel&) {
    MALLARD_TRY_ASSIGN(auto const user, resolve_user(core, request.at("who")));
    std::string const path = request.at("path");
    auto mailbox = core.mailboxes->find(user.id, path);
    if (!mailbox && mailbox.error().kind == ErrorKind::not_found) mailbox = core.mailboxes->create(user.id, path);
    if (!mailbox) return std::unexpected(mailbox.error());

    MALLARD_TRY_ASSIGN(auto const snapshot, core.mailboxes->snapshot(mailbox->id));
    auto const rows = all_rows(*snapshot);
    Json hashes = Json::object();
    MALLARD_TRY(core.mailboxes->store().records(mailbox->id, rows, store::want_meta,
                                                [&](std::size_t, store::MessageRecord const& record) {
                                                    auto const meta = bson::Document::decode(record.meta);
                                                    if (!meta) return;
                                                    std::string const hash(meta->text(import_hash_field));
                                                    if (!hash.empty()) hashes[hash] = hashes.value(hash, 0) + 1;
                                                }));
    return Json{{"user", user.id.hex()}, {"mailbox", mailbox->id.hex()}, {"path", mailbox->path}, {"hashes", hashes}};
}

// {"user", "mailbox", "flags", "date", "hash", "size"} and the bytes -> {"uid"}.
Result<Json> import_message(Core& core, Json const& request, Channel& channel) {
    Spool source;
    std::uint64_t const size = request.at("size");
    MALLARD_TRY(channel.receive_bytes(size, source));
    MALLARD_TRY_ASSIGN(UserId const user, user_id(request));
    MALLARD_TRY_ASSIGN(MailboxId const mailbox, mailbox_id(request));
    mailboxes::AppendRequest append;
    append.user = user;
    append.mailbox = mailbox;
    append.source = source.view();
    append.flags = flags_from_json(request.at("flags"));
    append.internal_date = request.at("date").get<TimeMs>();
    append.via = mailboxes::Source::import_;
    append.meta = import_meta(request.at("hash"), core.clock.now());
    MALLARD_TRY_ASSIGN(auto const appended, core.mailboxes->append(append));
    return Json{{"uid", appended.uid}};
}

// {"who"} -> {"user", "mailboxes": [{"mailbox", "path", "messages"}]}.
Result<Json> export_mailboxes(Core& core, Json const& request, Channel&) {
    MALLARD_TRY_ASSIGN(auto const user, resolve_user(core, request.at("who")));
    MALLARD_TRY_ASSIGN(auto const mailboxes, core.mailboxes->list(user.id));
    Json out = Json::array();
    for (store::MailboxInfo const& mailbox : mailboxes) {
        MALLARD_TRY_ASSIGN(auto const snapshot, core.mailboxes->snapshot(mailbox.id));
        out.push_back({{"mailbox", mailbox.id.hex()}, {"path", mailbox.path}, {"messages", snapshot->size()}});
    }
    return Json{{"user", user.id.hex()}, {"username", user.username}, {"mailboxes", out}};
}

// {"user", "mailbox", "skip": ids} -> a J {"message": …} and its bytes for each message, then {"messages", "vanished"}.
Result<Json> export_messages(Core& core, Json const& request, Channel& channel) {
    MALLARD_TRY_ASSIGN(UserId const user, user_id(request));
    MALLARD_TRY_ASSIGN(MailboxId const id, mailbox_id(request));
    MALLARD_TRY(core.mailboxes->get(user, id));
    std::vector<std::string> skip = request.value("skip", std::vector<std::string>{});
    std::sort(skip.begin(), skip.end());
    MALLARD_TRY_ASSIGN(auto const snapshot, core.mailboxes->snapshot(id));
    std::uint64_t sent = 0, vanished = 0;
    for (store::Row const* row : all_rows(*snapshot)) {
        if (std::binary_search(skip.begin(), skip.end(), row->id.hex())) continue;
        auto const done = send_message(core, id, *snapshot, *row, channel);
        if (!done && done.error().kind == ErrorKind::not_found)
            ++vanished;  // expunged meanwhile
        else if (!done)
            return std::unexpected(done.error());
        else
            ++sent;
    }
    return Json{{"messages", sent}, {"vanished", vanished}};
}

// {"repair"} -> counts and problems; sends progress.
Result<Json> check_store(Core& core, Json const& request, Channel& channel) {
    auto const progress = [&](std::uint64_t done, std::uint64_t total) {
        // A client that went away is noticed when the result is sent; the check itself goes on.
        [[maybe_unused]] auto const sent = channel.send(Json{{"progress", {done, total}}});
    };
    MALLARD_TRY_ASSIGN(auto const report, core.mailboxes->store().check(request.value("repair", false), progress));
    return Json{{"users", report.users},      {"mailboxes", report.mailboxes}, {"messages", report.messages},
                {"bodies", report.bodies},    {"problems", report.problems},   {"problemCount", report.problem_count},
                {"repaired", report.repaired}};
}

}  // namespace mallard::app
