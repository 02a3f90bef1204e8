#include "store/cluster/message_document.hpp"

#include <algorithm>
#include <cctype>

#include "base/random.hpp"
#include "mime/charset.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"
#include "store/cluster/tree_structure.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Date;
using bson::Document;
using bson::Value;

constexpr std::size_t text_chars_max = 1'024, footer_chars_max = 101'376, html_bytes_max = 655'360;  // §11.2

// The end of the first `count` UTF-16 code units.
std::size_t cut_utf16(std::string_view text, std::size_t count) {
    std::size_t at = 0;
    while (at < text.size() && count > 0) {
        auto const lead = static_cast<unsigned char>(text[at]);
        std::size_t const bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        std::size_t const units = bytes == 4 ? 2 : 1;
        if (units > count) break;
        count -= units;
        at = std::min(at + bytes, text.size());
    }
    return at;
}

// "cid:" links to parts of the message become links to its attachments (§10.2).
std::string link_attachments(std::string text, Array const& attachments) {
    constexpr std::string_view scheme = "cid:";
    std::string out;
    std::size_t at = 0;
    for (std::size_t found = text.find(scheme); found != std::string::npos; found = text.find(scheme, found + 1)) {
        auto const before = found == 0 ? ' ' : text[found - 1];
        if (before == '_' || std::isalnum(static_cast<unsigned char>(before))) continue;
        std::size_t const begin = found + scheme.size();
        std::size_t const end = std::min(text.find_first_of("'\" \t\r\n>)", begin), text.size());
        auto const id = '<' + text.substr(begin, end - begin) + '>';
        for (auto const& one : attachments) {
            auto const* entry = one.as<Document>();
            if (!entry || entry->text("cid") != id) continue;
            out.append(text, at, found - at).append("attachment:").append(entry->text("id"));
            at = end;
            break;
        }
    }
    if (at == 0) return text;
    return out.append(text, at);
}

void set_texts(Document& out, NewMessage const& message, mime::Summary const& summary, Array const& attachments) {
    auto texts = mime::texts(*message.tree, message.source, html_bytes_max);
    if (!attachments.empty()) {
        texts.text = link_attachments(std::move(texts.text), attachments);
        for (auto& part : texts.html) part = link_attachments(std::move(part), attachments);
    }
    if (!texts.text.empty()) {
        std::string_view const text = texts.text;
        std::size_t const cut = cut_utf16(text, text_chars_max);
        out.set("text", text.substr(0, cut));
        std::string_view const rest = text.substr(cut);
        if (!rest.empty()) out.set("textFooter", rest.substr(0, cut_utf16(rest, footer_chars_max)));
    }
    if (!texts.text.empty() || !texts.html.empty()) out.set("intro", summary.intro);
    if (texts.html.empty()) return;
    Array html;
    std::size_t total = 0;
    for (auto const& part : texts.html) {
        if (total >= html_bytes_max) break;
        html.emplace_back(mime::to_valid_utf8(std::string_view(part).substr(0, html_bytes_max - total)));
        total += part.size();
    }
    out.set("html", std::move(html));
}

// What the record was made of.
Document validity_of(Document const& message) {
    Document out;
    for (std::string_view key : {"magic", "size", "hdate"}) {
        auto const* value = message.find(key);
        auto const number = value ? value->as_int64() : std::nullopt;
        out.set(key, number ? bson::number(*number) : Value());
    }
    return out;
}

Document exact_size(std::int64_t of, std::uint64_t size) {
    return {{"of", bson::number(of)}, {"is", bson::number(static_cast<std::int64_t>(size))}};
}

Document record_document(Document const& message, MessageRecord const& record, bool with_meta) {
    Document out{{"of", validity_of(message)},    {"envelope", Binary{record.envelope}},
                 {"body", Binary{record.body}},   {"structure", Binary{record.body_structure}},
                 {"parts", Binary{record.parts}}, {"headers", Binary{record.headers}},
                 {"info", Binary{record.info}}};
    if (with_meta) out.set("meta", Binary{record.meta});
    return out;
}

std::string bytes_at(Document const& document, std::string_view key) {
    auto const* value = document.find(key);
    auto const* binary = value ? value->as<Binary>() : nullptr;
    return binary ? binary->bytes : std::string();
}

std::string message_id(mime::Summary const& summary) {
    if (!summary.message_id.empty()) return summary.message_id;
    std::string hex = random_hex(16);
    for (std::size_t at : {8, 13, 18, 23}) hex.insert(at, 1, '-');
    return '<' + hex + "@wildduck.email>";
}

Value without_inner_arrays(Value const& value) {
    auto const* array = value.as<Array>();
    if (!array) return value;
    Document out;
    for (std::size_t i = 0; i < array->size(); ++i) out.set(std::to_string(i), without_inner_arrays((*array)[i]));
    return out;
}

}  // namespace

void flatten_nested_arrays(Document& message) {
    for (std::string_view key : {"envelope", "bodystructure"}) {
        auto const* value = message.find(key);
        auto const* array = value ? value->as<Array>() : nullptr;
        if (!array) continue;
        Array out;
        for (auto const& element : *array) out.push_back(without_inner_arrays(element));
        message.set(key, std::move(out));
    }
}

Array flag_array(Flags const& flags) {
    Array out;
    for (auto const name : system_flag_names(flags.system)) out.emplace_back(name);
    for (auto const& keyword : flags.keywords) out.emplace_back(keyword);
    return out;
}

Flags own_flags(Document const& message) {
    Flags out;
    if (auto const* flags = message.array("flags"))
        for (auto const& flag : *flags) {
            auto const* name = flag.as<std::string>();
            if (!name) continue;
            if (auto const bit = system_flag(*name))
                out.system |= bit;
            else if (std::ranges::find(out.keywords, *name) == out.keywords.end())
                out.keywords.push_back(*name);
        }
    return out;
}

Document flag_mirrors(std::uint8_t system) {
    return {{"unseen", !(system & seen)},
            {"flagged", (system & flagged) != 0},
            {"undeleted", !(system & deleted)},
            {"draft", (system & draft) != 0}};
}

void set_flags(Document& message, Flags const& flags) {
    message.set("flags", flag_array(flags));
    for (auto const& [key, value] : flag_mirrors(flags.system).fields()) message.set(key, value);
    if (flags.system & deleted)
        message.erase("searchable");
    else
        message.set("searchable", true);
}

void set_mailbox(Document& message, MailboxInfo const& info, TimeMs now) {
    double const entered = static_cast<double>(now / 1000 * 1000);
    message.set("mailbox", info.id);
    message.set("user", info.user);
    message.set("retentionTime", entered);
    message.set("retention", bson::number(info.retention_ms));
    message.set("exp", info.retention_ms > 0);
    if (info.retention_ms > 0)
        message.set("rdate", entered + static_cast<double>(info.retention_ms));
    else
        message.erase("rdate");
    if (info.special_use == "\\Junk")
        message.set("junk", true);
    else if (info.special_use != "\\Trash")
        message.erase("junk");
}

Document message_document(NewMessage const& message, MimeTree const& tree, std::int32_t magic) {
    auto const summary = mime::summarize(*message.tree, message.source);
    auto const id = ObjectId::generate();
    auto meta = Document::decode(message.record.meta);
    Document out{{"_id", id},
                 {"root", id},
                 {"v", "1.0"},
                 {"userDeleted", false},
                 {"idate", Date{message.internal_date / 1000 * 1000}},
                 {"hdate", Date{message.record.header_date}},
                 {"flags", Array{}},
                 {"size", bson::number(static_cast<std::int64_t>(tree.size))},
                 {"meta", meta ? *meta : Document{}},
                 {"filters", Array{}},
                 {"headers", searchable_headers(*tree.root)},
                 {"mimeTree", tree.document()},
                 {"envelope", envelope_array(*tree.root)},
                 {"bodystructure", bodystructure_array(*tree.root)},
                 {"msgid", message_id(summary)}};
    set_flags(out, message.flags);
    out.set("magic", magic);
    out.set("subject", summary.subject);
    out.set("copied", false);
    if (!tree.attachments.empty()) out.set("attachments", tree.attachments);
    out.set("ha", tree.has_attachments);
    set_texts(out, message, summary, tree.attachments);
    out.set("mallard", record_document(out, message.record, !meta.has_value()));
    if (tree.size != message.source.size())
        out.set("mallardSize", exact_size(static_cast<std::int64_t>(tree.size), message.source.size()));
    return out;
}

std::map<std::string, std::int64_t> digests_of(Document const& message) {
    std::map<std::string, std::int64_t> out;
    auto const* tree = message.document("mimeTree");
    auto const* map = tree ? tree->document("attachmentMap") : nullptr;
    if (map)
        for (auto const& [id, value] : map->fields())
            if (auto const* digest = value.as<Binary>()) ++out[digest->bytes];
    return out;
}

Document validity_projection() { return {{"magic", 1}, {"size", 1}, {"hdate", 1}, {"mallard.of", 1}}; }

bool is_valid(Document const& message) {
    auto const* ours = message.document("mallard");
    auto const* of = ours ? ours->document("of") : nullptr;
    return of && *of == validity_of(message);
}

Document record_update(Document const& message, MessageRecord const& record, std::uint64_t size) {
    Document set{{"mallard", record_document(message, record, false)}};
    auto const stored = message.integer("size");
    if (stored != static_cast<std::int64_t>(size)) set.set("mallardSize", exact_size(stored, size));
    return {{"$set", std::move(set)}};
}

std::optional<MessageRecord> record_of(Document const& message) {
    auto const* ours = message.document("mallard");
    if (!ours || !is_valid(message)) return std::nullopt;
    MessageRecord record;
    record.envelope = bytes_at(*ours, "envelope");
    record.body = bytes_at(*ours, "body");
    record.body_structure = bytes_at(*ours, "structure");
    record.parts = bytes_at(*ours, "parts");
    record.headers = bytes_at(*ours, "headers");
    record.info = bytes_at(*ours, "info");
    auto const* meta = message.document("meta");
    bool const told = meta && meta->find("custom");  // what REST has said since counts
    record.meta = ours->find("meta") && !told ? bytes_at(*ours, "meta") : std::string();
    if (meta && (told || !ours->find("meta"))) {  // copies note here that they are copies (§4.3)
        Document shared = *meta;
        shared.erase("events");
        record.meta = shared.encode();
    }
    return record;
}

}  // namespace mallard::store::cluster
