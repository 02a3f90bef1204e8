// What append() computes of a message, once (storage.md §11.2): all that is ever listed, searched or put on the wire.
#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "mailboxes/mailboxes.hpp"
#include "mailboxes/sealing.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"
#include "store/bson.hpp"

namespace mallard::mailboxes {

namespace {

// storage.md §11.2; the place in this table is the key's number in encode_headers: only ever append.
constexpr std::array<std::string_view, 11> indexed_keys = {"to",           "cc",      "bcc",         "subject",
                                                           "from",         "sender",  "reply-to",    "message-id",
                                                           "thread-index", "list-id", "delivered-to"};
constexpr std::size_t indexed_value_max = 4096;  // longer: cut, and the search reads the message itself
constexpr char named_key = '\xFF';               // a key outside the table follows by name

void put_length(std::string& out, std::size_t value) {  // base 128, low groups first
    for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
    out += static_cast<char>(value);
}

bool take_length(std::string_view& in, std::size_t& value) {
    value = 0;
    for (unsigned shift = 0; !in.empty() && shift < 35; shift += 7) {
        auto byte = static_cast<unsigned char>(in.front());
        in.remove_prefix(1);
        value |= static_cast<std::size_t>(byte & 0x7F) << shift;
        if (byte < 0x80) return true;
    }
    return false;
}

bool take_text(std::string_view& in, std::string& out) {
    std::size_t length = 0;
    if (!take_length(in, length) || length > in.size()) return false;
    out.assign(in.substr(0, length));
    in.remove_prefix(length);
    return true;
}

std::string_view angle_part(std::string_view text) {
    auto open = text.find('<');
    auto close = text.find('>', open == text.npos ? 0 : open);
    if (open == text.npos || close == text.npos) return trim(text);
    return text.substr(open + 1, close - open - 1);
}

std::vector<IndexedHeader> indexed_headers(mime::Entity const& tree) {
    std::vector<IndexedHeader> headers;
    bool cut = false;
    for (auto const& field : tree.fields) {
        auto key = std::ranges::find_if(indexed_keys, [&](auto name) { return iequals(name, field.name); });
        if (key == indexed_keys.end()) continue;
        // Cut before decoding as well: a header may be as long as a message.
        std::string_view raw = field.value.substr(0, 4 * indexed_value_max);
        cut |= raw.size() < field.value.size();
        std::string value = mime::fold_case(mime::decode_words(mime::unfold(raw)));
        if (*key == "list-id") value = std::string(angle_part(value));
        if (value.size() > indexed_value_max) {
            std::size_t end = indexed_value_max;
            while (end > 0 && (static_cast<unsigned char>(value[end]) & 0xC0) == 0x80) --end;
            value.resize(end);
            cut = true;
        }
        headers.push_back({std::string(*key), std::move(value)});
    }
    if (cut) headers.push_back({});  // an empty key: not all is here
    return headers;
}

bson::Document address_document(mime::Address const& address) {
    return {{"address", address.address()}, {"name", address.name}};
}

void set_addresses(bson::Document& info, std::string_view key, std::vector<mime::Address> const& addresses) {
    if (addresses.empty()) return;
    bson::Array list;
    list.reserve(addresses.size());
    for (auto const& address : addresses) {
        if (!address.is_group) {
            list.emplace_back(address_document(address));
            continue;
        }
        bson::Array members;
        for (auto const& member : address.group) members.emplace_back(address_document(member));
        list.emplace_back(bson::Document{{"name", address.name}, {"group", std::move(members)}});
    }
    info.set(key, std::move(list));
}

void set_text(bson::Document& info, std::string_view key, std::string const& text) {
    if (!text.empty()) info.set(key, text);
}

// RFC 2369 §2: URLs in angle brackets, commas between them. RFC 2919 §2: a phrase, then the id in angle brackets.
void set_list(bson::Document& info, mime::Summary const& summary) {
    bson::Document list;
    if (!summary.list_id.empty()) {
        std::string_view const id = summary.list_id;
        bool const bare = id.find('<') == id.npos, phrase = bare && id.find(' ') != id.npos;
        std::string_view const name = phrase ? id : bare ? std::string_view() : trim(id.substr(0, id.find('<')));
        list.set("id", bson::Document{{"name", name}, {"address", phrase ? std::string_view() : angle_part(id)}});
    }
    bson::Array urls;
    for (std::string_view rest = summary.list_unsubscribe; rest.find('<') != rest.npos;) {
        urls.emplace_back(bson::Document{{"name", ""}, {"address", angle_part(rest)}});
        auto close = rest.find('>', rest.find('<'));
        rest.remove_prefix(close == rest.npos ? rest.size() : close + 1);
    }
    if (!urls.empty()) list.set("unsubscribe", std::move(urls));
    if (!list.empty()) info.set("list", std::move(list));
}

void set_content_type(bson::Document& info, mime::Entity const& tree) {
    bson::Document type{{"value", tree.type + '/' + tree.subtype}};
    if (!tree.parameters.empty()) {
        bson::Document parameters;
        for (auto const& parameter : tree.parameters) parameters.set(parameter.name, parameter.value);
        type.set("params", std::move(parameters));
    }
    info.set("contentType", std::move(type));
    if (is_encrypted(tree)) info.set("encrypted", true);
}

std::int64_t size_kb(mime::Attachment const& attachment) {  // an estimate of the decoded size, rounded up
    std::uint64_t size = attachment.size;
    if (attachment.transfer_encoding == "base64") size = (size - size / 78 * 2) * 3 / 4;  // storage.md §10.2
    return static_cast<std::int64_t>((size + 1023) / 1024);
}

void set_attachments(bson::Document& info, mime::Summary const& summary) {
    info.set("ha", summary.has_attachments);
    if (summary.attachments.empty()) return;
    bson::Array list;
    list.reserve(summary.attachments.size());
    for (auto const& attachment : summary.attachments) {
        bson::Document entry{
            {"id", attachment.id},
            {"filename", attachment.filename},
            {"contentType", attachment.content_type},
            {"disposition", attachment.disposition.empty() ? bson::Value(false) : bson::Value(attachment.disposition)},
            {"transferEncoding", attachment.transfer_encoding},
            {"related", attachment.related},
            {"size", bson::number(static_cast<std::int64_t>(attachment.size))},
            {"sizeKb", bson::number(size_kb(attachment))},
            {"begin", bson::number(static_cast<std::int64_t>(attachment.begin))},
            {"end", bson::number(static_cast<std::int64_t>(attachment.end))},
        };
        if (!attachment.content_id.empty()) entry.set("cid", attachment.content_id);
        list.emplace_back(std::move(entry));
    }
    info.set("attachments", std::move(list));
}

std::string info_document(mime::Entity const& tree, mime::Summary const& summary, std::optional<TimeMs> header_date) {
    bson::Document info;
    set_text(info, "subject", summary.subject);
    set_text(info, "messageId", summary.message_id);
    set_text(info, "inReplyTo", summary.in_reply_to);
    set_addresses(info, "from", summary.from);
    set_addresses(info, "sender", summary.sender);
    set_addresses(info, "replyTo", summary.reply_to);
    set_addresses(info, "to", summary.to);
    set_addresses(info, "cc", summary.cc);
    set_addresses(info, "bcc", summary.bcc);
    if (header_date) info.set("hdate", bson::Date{*header_date});
    set_text(info, "intro", summary.intro);
    if (!summary.references.empty()) {
        bson::Array references;
        for (auto const& reference : summary.references) references.emplace_back(reference);
        info.set("references", std::move(references));
    }
    set_list(info, summary);
    set_content_type(info, tree);
    set_attachments(info, summary);
    return info.encode();
}

}  // namespace

store::NewMessage derive(std::string_view source, mime::Entity const& tree, store::Flags flags, TimeMs internal_date,
                         std::string meta) {
    mime::Summary const summary = mime::summarize(tree, source);
    std::optional<TimeMs> const header_date = mime::parse_date(summary.date);
    store::NewMessage message;
    message.source = source;
    message.tree = &tree;
    message.flags = std::move(flags);
    message.internal_date = internal_date;
    message.thread_refs = mime::thread_refs(tree, source);
    message.thread_subject = mime::thread_subject(summary.subject);

    store::MessageRecord& record = message.record;
    record.envelope = mime::envelope(tree, source);
    record.body = mime::body(tree, source);
    record.body_structure = mime::body_structure(tree, source);
    record.parts = mime::encode_parts(tree);
    record.headers = encode_headers(indexed_headers(tree));
    record.info = info_document(tree, summary, header_date);
    record.meta = std::move(meta);
    record.header_date = header_date.value_or(internal_date);
    return message;
}

std::string encode_headers(std::vector<IndexedHeader> const& headers) {
    std::string out;
    for (auto const& header : headers) {
        auto key = std::ranges::find(indexed_keys, header.key);
        if (key == indexed_keys.end()) {
            out += named_key;
            put_length(out, header.key.size());
            out += header.key;
        } else {
            out += static_cast<char>(key - indexed_keys.begin());
        }
        put_length(out, header.value.size());
        out += header.value;
    }
    return out;
}

std::vector<IndexedHeader> decode_headers(std::string_view encoded) {
    std::vector<IndexedHeader> headers;
    while (!encoded.empty()) {
        IndexedHeader header;
        bool whole = true;
        auto const code = static_cast<unsigned char>(encoded.front());
        encoded.remove_prefix(1);
        if (code < indexed_keys.size())
            header.key = indexed_keys[code];
        else
            whole = code == static_cast<unsigned char>(named_key) && take_text(encoded, header.key);
        if (!whole || !take_text(encoded, header.value)) {
            headers.push_back({});  // damaged: what follows is not known
            break;
        }
        headers.push_back(std::move(header));
    }
    return headers;
}

}  // namespace mallard::mailboxes
