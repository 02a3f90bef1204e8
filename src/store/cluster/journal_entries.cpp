#include "store/cluster/journal_entries.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Document;

Document entry_of(std::string_view command, Document const& message, std::initializer_list<std::string_view> keys) {
    Document entry{{"command", command}};
    for (std::string_view const key : keys)
        if (auto const* value = message.find(key)) entry.set(key, *value);
    if (auto const* id = message.find("_id")) entry.set("message", *id);
    return entry;
}

}  // namespace

bson::Value modseq_value(ModSeq modseq) { return bson::number(static_cast<std::int64_t>(modseq)); }

Document exists_entry(Document const& message, int junk) {
    Document entry = entry_of("EXISTS", message, {"mailbox", "user", "uid", "modseq", "unseen", "idate", "thread"});
    if (junk != 0) entry.set("junk", junk);
    return entry;
}

Document expunge_entry(Document const& message, ModSeq modseq) {
    Document entry = entry_of("EXPUNGE", message, {"mailbox", "user", "uid", "unseen", "thread"});
    entry.set("ignore", bson::Null{});
    entry.set("modseq", modseq_value(modseq));
    return entry;
}

Document fetch_entry(Document const& message, bool unseen_changed) {
    Document entry = entry_of("FETCH", message, {"mailbox", "user", "uid", "modseq", "flags", "thread"});
    entry.set("unseenChange", unseen_changed);
    return entry;
}

Document mailbox_entry(MailboxInfo const& info, std::string_view command, ModSeq modseq, bool with_path) {
    Document entry{{"command", command}, {"mailbox", info.id}, {"user", info.user}, {"modseq", modseq_value(modseq)}};
    if (with_path) entry.set("path", info.path);
    return entry;
}

void count_entry(Document const& entry, CounterChange& change) {
    auto const command = entry.text("command");
    int const by = command == "EXISTS" ? 1 : command == "EXPUNGE" ? -1 : 0;
    change.total += by;
    if (entry.boolean("unseen")) change.unseen += by;
    if (command == "FETCH" && entry.boolean("unseenChange")) change.unseen_unknown = true;
}

}  // namespace mallard::store::cluster
