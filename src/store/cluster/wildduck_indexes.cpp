#include "store/cluster/wildduck_indexes.hpp"

#include <algorithm>
#include <charconv>

namespace mallard::store::cluster {

namespace {

// In the order of WildDuck's indexes.yaml.
constexpr WildDuckIndex table[] = {
    {Db::users, "users", "users", "username", ""},
    {Db::users, "users", "users_dotless", "unameview", "unique"},
    {Db::users, "users", "show_new", "created:-1", ""},
    {Db::users, "users", "users_tags", "tagsview", "sparse"},
    {Db::users, "addresses", "address_dotless", "addrview", "unique"},
    {Db::users, "addresses", "address_tags", "tagsview", "sparse"},
    {Db::users, "addresses", "address_paging", "addrview, _id", ""},
    {Db::users, "addresses", "user", "user", ""},
    {Db::users, "domainaliases", "domainalias", "alias", "unique"},
    {Db::users, "domainaliases", "domainlist", "domain", ""},
    {Db::users, "asps", "asps_user", "user", ""},
    {Db::users, "asps", "entry_autoexpire", "expires", "ttl=0"},
    {Db::users, "authlog", "user", "user, _id:-1", ""},
    {Db::users, "authlog", "insert", "user, created, key", ""},
    {Db::users, "authlog", "user_by_ip", "user, ip, _id:-1", "where ip=true"},
    {Db::users, "authlog", "by_ip", "ip", "sparse"},
    {Db::users, "authlog", "user_hashed", "user:h", ""},
    {Db::users, "authlog", "entry_autoexpire", "expires", "ttl=0"},
    {Db::main, "filters", "user", "user", ""},
    {Db::main, "filters", "forward_target", "action.targets.value", ""},
    {Db::main, "domainaccess", "by_tag", "tagview, action, domain", ""},
    {Db::main, "autoreplies", "autoreply", "user, start, end", ""},
    {Db::main, "mailboxes", "user_path", "user, path", "unique"},
    {Db::main, "mailboxes", "user_subscribed", "user, subscribed", ""},
    {Db::main, "mailboxes", "find_by_type", "user, specialUse", ""},
    {Db::main, "messages", "mailbox_uid_shard", "_id, mailbox, uid", ""},
    {Db::main, "messages", "user_messages_by_thread", "user, thread", ""},
    {Db::main, "messages", "mailbox_uid", "mailbox, uid, _id", ""},
    {Db::main, "messages", "mailbox_uid_reverse", "mailbox, uid:-1, _id:-1", ""},
    {Db::main, "messages", "mailbox_modseq_uid", "mailbox, modseq, uid", ""},
    {Db::main, "messages", "mailbox_flags", "mailbox, flags", ""},
    {Db::main, "messages", "by_idate", "mailbox, idate", ""},
    {Db::main, "messages", "by_idate_reverse_uid", "mailbox, idate:-1, _id:-1", ""},
    {Db::main, "messages", "by_idate_reverse_thread", "mailbox, idate:-1, _id:-1, thread, uid", ""},
    {Db::main, "messages", "by_hdate", "mailbox, hdate, msgid", ""},
    {Db::main, "messages", "by_size", "mailbox, size", ""},
    {Db::main, "messages", "by_headers", "mailbox, headers.key, headers.value", ""},
    {Db::main, "messages", "fulltext", "user, headers.value:t, text:t", "where searchable=true"},
    {Db::main, "messages", "mailbox_unseen_flag", "mailbox, unseen", ""},
    {Db::main, "messages", "user_unseen_flag", "user, unseen", "where searchable=true"},
    {Db::main, "messages", "mailbox_undeleted_flag", "mailbox, undeleted", ""},
    {Db::main, "messages", "mailbox_flagged_flag", "mailbox, flagged", ""},
    {Db::main, "messages", "user_flagged_flag", "user, flagged", ""},
    {Db::main, "messages", "user_searchable_flag", "user, searchable", ""},
    {Db::main, "messages", "mailbox_draft_flag", "mailbox, draft", ""},
    {Db::main, "messages", "has_attachment", "mailbox, ha", ""},
    {Db::main, "messages", "retention_time", "exp, rdate", "where exp=true"},
    {Db::main, "addressregister", "by_address", "user, addrview, updated:-1", ""},
    {Db::main, "addressregister", "by_user_disabled_partial", "user, updated:-1", "where disabled=false"},
    {Db::main, "addressregister", "by_user_disabled", "user, disabled", ""},
    {Db::main, "archived", "user_messages", "user, _id", ""},
    {Db::main, "archived", "user_messages_desc", "user, _id:-1", ""},
    {Db::main, "archived", "user_messages_by_thread", "user, thread", ""},
    {Db::main, "archived", "user_messages_archived", "user, archived", ""},
    {Db::main, "archived", "retention_time", "exp, rdate", "where exp=true"},
    {Db::gridfs, "storage.files", "storage_id_hashed", "_id:h", ""},
    {Db::gridfs, "storage.files", "user_files", "metadata.user, filename", ""},
    {Db::gridfs, "storage.chunks", "chunks_shard", "files_id:h", ""},
    {Db::gridfs, "attachments.files", "attachment_id_hashed", "_id:h", ""},
    {Db::gridfs, "attachments.files", "related_attachments_cu", "metadata.c, metadata.m, metadata.cu", ""},
    {Db::gridfs, "attachments.chunks", "chunks_shard", "files_id:h", ""},
    {Db::gridfs, "attachments.chunks", "files_id_1_n_1", "files_id, n", "unique"},
    {Db::main, "dkim", "dkim_paging", "domain, _id", ""},
    {Db::main, "dkim", "dkim_primary", "domain", "unique"},
    {Db::main, "journal", "mailbox_modseq", "mailbox, modseq", ""},
    {Db::main, "journal", "user_limit_id", "user, _id", ""},
    {Db::main, "journal", "user_limit_id_reverse", "user, _id:-1", ""},
    {Db::main, "journal", "journal_autoexpire", "created", "ttl=10800"},
    {Db::main, "threads", "thread_shard", "user:h", ""},
    {Db::main, "threads", "thread", "user, ids", ""},
    {Db::main, "threads", "thread_autoexpire", "updated", "ttl=15552000"},
    {Db::main, "tasks", "task", "locked, lockedUntil", ""},
    {Db::main, "tasks", "task_data_user", "task, data.user", ""},
    {Db::main, "tasks", "clear_folder_task", "task, data.user, data.mailbox", "unique, where task=clear-folder"},
    {Db::main, "certs", "servername", "servername", "unique"},
    {Db::main, "certs", "servername_version", "servername, v", ""},
    {Db::main, "certs", "servername_alt", "altNames, v", ""},
    {Db::main, "certs", "renewal_check", "acme, expires, _acme.lastRenewalCheck", ""},
    {Db::main, "certs", "garbage_check", "acme, updated, expires, autogenerated", ""},
    {Db::main, "audits", "user_expire_time", "user, expires", ""},
    {Db::main, "audits", "expire_time", "expires, deleted", ""},
    {Db::gridfs, "audit.files", "audit_id_hashed", "_id:h", ""},
    {Db::gridfs, "audit.files", "audit_files", "metadata.audit, metadata.date", ""},
    {Db::gridfs, "audit.files", "audit_files_queue", "metadata.info.queueId", ""},
    {Db::gridfs, "audit.files", "audit_files_expire", "metadata.info.expires", ""},
    {Db::gridfs, "audit.files", "audit_files_addresses",
     "metadata.audit, metadata.addresses.type, metadata.addresses.name, metadata.addresses.address", ""},
    {Db::gridfs, "audit.files", "audit_files_subject", "metadata.subject", ""},
    {Db::gridfs, "audit.chunks", "audit_shard", "files_id:h", ""},
    {Db::main, "bimi", "by_type", "type, url", "unique"},
    {Db::main, "webhooks", "by_type", "type, user", ""},
    {Db::main, "webhooks", "by_user_type", "user, type", ""},
    {Db::main, "settings", "key_unique", "key, enumerable", "unique"},
    {Db::main, "settings", "enumerable_key", "enumerable, key", ""},
    {Db::users, "domaincache", "by_domain", "domain", "unique"},
    {Db::users, "deletedusers", "deletedusers_dotless", "unameview", ""},
    {Db::users, "deletedusers", "deletedusers_address", "address", ""},
};

template <class F>
void split(std::string_view text, F&& part) {
    while (!text.empty()) {
        auto const end = text.find(", ");
        part(text.substr(0, end));
        text = end == std::string_view::npos ? std::string_view() : text.substr(end + 2);
    }
}

}  // namespace

std::span<WildDuckIndex const> wildduck_indexes() { return table; }

IndexDefinition definition_of(WildDuckIndex const& index) {
    IndexDefinition out;
    out.name = index.name;
    split(index.key, [&](std::string_view field) {
        auto const colon = field.find(':');
        auto const kind = colon == std::string_view::npos ? std::string_view() : field.substr(colon + 1);
        auto const path = field.substr(0, colon);
        if (kind == "h")
            out.key.set(path, "hashed");
        else if (kind == "t")
            out.key.set(path, "text");
        else
            out.key.set(path, kind == "-1" ? -1 : 1);
    });
    split(index.options, [&](std::string_view option) {
        if (option == "unique") out.unique = true;
        if (option == "sparse") out.sparse = true;
        if (option.starts_with("ttl=")) {
            std::int32_t seconds = 0;
            std::from_chars(option.data() + 4, option.data() + option.size(), seconds);
            out.expire_after_seconds = seconds;
        }
        if (!option.starts_with("where ")) return;
        auto const condition = option.substr(6);
        auto const path = condition.substr(0, condition.find('='));
        auto const value = condition.substr(path.size() + 1);
        if (value == "true" || value == "false")
            out.partial.set(path, value == "true");
        else
            out.partial.set(path, value);
    });
    return out;
}

WildDuckIndex const* find_wildduck_index(std::string_view collection, std::string_view name) {
    auto const* const found = std::ranges::find_if(
        table, [&](auto const& index) { return index.collection == collection && index.name == name; });
    return found == std::end(table) ? nullptr : found;
}

Result<void> ensure_wildduck_indexes(MongoClient& client) {
    // As WildDuck's task process does at its start: the large collections are compressed. Refused by servers with
    // another storage engine, and where the collection is there already.
    bson::Document const zlib{
        {"wiredTiger", bson::Document{{"configString", "block_compressor=zlib"}}},
    };
    for (auto const& [db, name] : {std::pair{Db::main, "messages"}, std::pair{Db::gridfs, "attachments.files"},
                                   std::pair{Db::gridfs, "attachments.chunks"}})
        static_cast<void>(client.command(db, {{"create", name}, {"storageEngine", zlib}}));
    for (auto const& index : table) MALLARD_TRY(client.ensure_index(index.db, index.collection, definition_of(index)));
    return {};
}

}  // namespace mallard::store::cluster
