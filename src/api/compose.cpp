#include "api/compose.hpp"

#include <algorithm>

#include "accounts/normalize.hpp"
#include "api/message_view.hpp"
#include "base/encoding.hpp"
#include "base/random.hpp"
#include "http/query.hpp"
#include "mime/charset.hpp"
#include "mime/html.hpp"
#include "mime/summary.hpp"

namespace mallard::api {
namespace {

constexpr std::size_t images_max = 100, html_text_max = 1024 * 1024;

mime::Address make_address(std::string name, std::string_view address) {
    mime::Address out;
    out.name = std::move(name);
    auto const at = address.rfind('@');
    out.mailbox = std::string(address.substr(0, at));
    if (at != address.npos) out.host = std::string(address.substr(at + 1));
    return out;
}

std::optional<mime::Address> address_of(Json const& item) {
    auto const address = item.value("address", "");
    if (address.empty()) return std::nullopt;  // a bad one in `to` was emptied by validation
    return make_address(item.value("name", ""), address);
}

std::vector<mime::Address> addresses_at(Call const& call, std::string_view name) {
    std::vector<mime::Address> list;
    auto const found = call.params.find(name);
    if (found == call.params.end()) return list;
    for (auto const& item : found->is_array() ? *found : Json::array({*found})) {
        if (auto address = address_of(item)) list.push_back(std::move(*address));
    }
    return list;
}

bool same_address(std::string_view a, std::string_view b) {
    return accounts::normalize_address(a, false, false) == accounts::normalize_address(b, false, false);
}

// May the user write from this address?
Result<bool> is_own(Call& call, accounts::User const& user, std::string const& address) {
    if (same_address(address, user.address)) return true;
    auto const plain = accounts::normalize_address(address, false, false);
    for (auto const& pattern : user.from_whitelist) {
        bool const matches = pattern.starts_with('*') ? plain.ends_with(pattern.substr(1))
                             : pattern.ends_with('*') ? plain.starts_with(pattern.substr(0, pattern.size() - 1))
                                                      : plain == pattern;
        if (matches && pattern.size() > 1) return true;
    }
    MALLARD_TRY_ASSIGN(auto const resolved, call.services.accounts.resolve(address, false));
    return resolved && resolved->user == user.id;
}

std::string decode_content(std::string const& content, std::string const& encoding) {
    auto const kind = to_lower(encoding);
    if (kind == "base64" || kind == "quoted-printable") return mime::decode_transfer(content, kind);
    if (kind == "hex") return hex_decode(content).value_or(std::string());
    return content;
}

std::vector<mime::NewAttachment> attachments_at(Call const& call) {
    std::vector<mime::NewAttachment> list;
    auto const found = call.params.find("attachments");
    if (found == call.params.end()) return list;
    for (auto const& item : *found) {
        mime::NewAttachment attachment;
        attachment.filename = item.value("filename", "");
        attachment.content_type = item.value("contentType", "");
        attachment.content_id = item.value("cid", "");
        attachment.disposition = item.value("contentDisposition", "");
        attachment.content = decode_content(item.value("content", ""), item.value("encoding", "base64"));
        list.push_back(std::move(attachment));
    }
    return list;
}

std::string prefixed(std::string_view subject, std::string_view action) {
    auto const colon = subject.find(": ");
    auto const word = subject.substr(0, colon == subject.npos ? 0 : colon);
    bool const has_prefix = !word.empty() && std::ranges::all_of(word, [](char c) {
        c = ascii_lower(c);
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    });
    if (has_prefix) return std::string(subject);
    return (action == "forward" ? "Fwd: " : "Re: ") + std::string(subject);
}

bool copies(Json const& wanted, std::string const& id) {
    if (wanted.is_boolean()) return wanted.get<bool>();
    return wanted.is_array() && std::ranges::any_of(wanted, [&](Json const& one) { return one == id; });
}

// Who a reply goes to, without the user's own addresses.
std::vector<mime::Address> reply_recipients(Call& call, mime::Summary const& summary, UserId user, bool all) {
    std::vector<mime::Address> wanted = summary.reply_to.empty() ? summary.from : summary.reply_to;
    if (!all) return wanted;
    for (auto const* list : {&summary.to, &summary.cc}) wanted.insert(wanted.end(), list->begin(), list->end());
    auto const own = call.services.accounts.addresses(user);
    std::erase_if(wanted, [&](mime::Address const& address) {
        return own && std::ranges::any_of(
                          *own, [&](auto const& mine) { return same_address(mine.address, address.address()); });
    });
    return wanted;
}

struct Attribute {
    std::size_t begin = 0, end = 0;  // of the value, in the tag
};
// name="value" inside a tag; unquoted values too.
std::optional<Attribute> find_attribute(std::string_view tag, std::string_view name) {
    for (std::size_t at = tag.find_first_of(" \t\r\n"); at < tag.size();) {
        at = tag.find_first_not_of(" \t\r\n/", at);
        if (at == tag.npos) return std::nullopt;
        auto const key_end = std::min(tag.find_first_of("= \t\r\n>", at), tag.size());
        auto const key = tag.substr(at, key_end - at);
        auto value = tag.find_first_not_of(" \t\r\n", key_end);
        if (value == tag.npos || tag[value] != '=') {
            at = std::max(key_end, at + 1);
            continue;
        }
        value = tag.find_first_not_of(" \t\r\n", value + 1);
        if (value == tag.npos) return std::nullopt;
        bool const quoted = tag[value] == '"' || tag[value] == '\'';
        auto const begin = quoted ? value + 1 : value;
        auto const end =
            std::min(quoted ? tag.find(tag[value], begin) : tag.find_first_of(" \t\r\n>", begin), tag.size());
        if (iequals(key, name)) return Attribute{begin, end};
        at = end + 1;
    }
    return std::nullopt;
}

}  // namespace

std::string extract_images(std::string_view html, std::string_view id_domain,
                           std::vector<mime::NewAttachment>& images) {
    std::string out;
    while (images.size() < images_max) {
        std::size_t at = 0;
        while (at < html.size() && !(html[at] == '<' && iequals(html.substr(at + 1, 3), "img"))) ++at;
        auto const end = html.find('>', at);
        if (at >= html.size() || end == html.npos) break;
        auto const tag = html.substr(at, end + 1 - at);
        out += html.substr(0, at);
        html.remove_prefix(end + 1);
        auto const source = find_attribute(tag, "src");
        auto const value = source ? tag.substr(source->begin, source->end - source->begin) : std::string_view();
        auto const comma = value.find(',');
        if (!iequals(value.substr(0, 5), "data:") || comma == value.npos) {
            out += tag;
            continue;
        }
        auto head = value.substr(5, comma - 5);
        mime::NewAttachment image;
        bool const base64 = to_lower(head).ends_with(";base64");
        image.content_type = std::string(head.substr(0, head.find(';')));
        auto const decoded = http::percent_decode(value.substr(comma + 1), false);
        image.content = base64 ? mime::decode_transfer(decoded, "base64") : decoded;
        image.content_id = random_hex(16) + "@" + std::string(id_domain);
        image.disposition = "inline";
        if (auto const name = find_attribute(tag, "data-filename")) {
            image.filename = std::string(tag.substr(name->begin, name->end - name->begin));
        }
        out += tag.substr(0, source->begin);
        out += "cid:" + image.content_id;
        out += tag.substr(source->end);
        images.push_back(std::move(image));
    }
    out += html;
    return out;
}

std::expected<std::optional<Referenced>, Failure> referenced_message(Call& call, accounts::User const& user) {
    auto const wanted = call.params.find("reference");
    if (wanted == call.params.end()) return std::nullopt;
    auto const mailbox = MailboxId::from_hex(wanted->value("mailbox", "")).value_or(MailboxId{});
    if (!call.services.mailboxes.get(call.user(), mailbox)) return std::nullopt;
    auto const index = call.services.mailboxes.snapshot(mailbox);
    auto const uid = wanted->value("id", 0.0);
    if (!index || !(uid >= 1 && uid <= 4294967295.0)) return std::nullopt;
    auto const number = (*index)->find(static_cast<store::Uid>(uid));
    if (!number) return std::nullopt;
    FoundMessage const found{*index, &(*index)->row(*number)};
    auto const source = source_of(call, found);
    if (!source) return std::unexpected(source.error());
    auto const entity = mime::parse(source->view());
    auto const summary = mime::summarize(entity, source->view());

    Referenced referenced{.mailbox = mailbox, .uid = found.row->uid, .action = wanted->value("action", "")};
    referenced.message_id = summary.message_id;
    referenced.references = summary.references;
    referenced.subject = prefixed(summary.subject, referenced.action);
    if (referenced.action != "forward") {
        referenced.to = reply_recipients(call, summary, user.id, referenced.action == "replyAll");
    }
    auto const copied = wanted->find("attachments");
    for (auto const& attachment : summary.attachments) {
        if (copied == wanted->end() || attachment.related || !copies(*copied, attachment.id)) continue;
        auto const encoded = source->view().substr(attachment.begin, attachment.end - attachment.begin);
        referenced.attachments.push_back(
            {.filename = attachment.filename,
             .content_type = attachment.content_type,
             .content_id = {},
             .disposition = "attachment",
             .content = mime::decode_transfer(encoded, to_lower(attachment.transfer_encoding))});
    }
    return referenced;
}

Result<Composed> compose(Call& call, accounts::User const& user, std::optional<Referenced> const& referenced,
                         bool draft) {
    constexpr std::size_t references_max = 50;
    auto from = addresses_at(call, "from");
    if (from.empty()) from.push_back(make_address(user.name, user.address));
    if (draft) {
        MALLARD_TRY_ASSIGN(bool const own, is_own(call, user, from.front().address()));
        if (!own) from.front() = make_address(from.front().name, user.address);
    }
    auto to = addresses_at(call, "to"), cc = addresses_at(call, "cc"), bcc = addresses_at(call, "bcc");
    if (referenced && to.empty() && cc.empty() && bcc.empty()) to = referenced->to;
    auto const& domain = from.front().host.empty() ? std::string("localhost") : from.front().host;

    mime::NewMail mail;
    auto const add = [&](std::string name, std::string value) {
        if (!value.empty()) mail.fields.emplace_back(std::move(name), std::move(value));
    };
    add("From", mime::format_addresses(from));
    add("Reply-To", mime::format_addresses(addresses_at(call, "replyTo")));
    add("To", mime::format_addresses(to));
    add("Cc", mime::format_addresses(cc));
    add("Bcc", mime::format_addresses(bcc));
    add("Subject", call.has("subject") || !referenced ? call.text("subject") : referenced->subject);
    add("Date", mime::format_date(call.integer("date", call.services.clock.now())));
    if (referenced && !referenced->message_id.empty()) {
        if (referenced->action != "forward") add("In-Reply-To", referenced->message_id);
        std::string references = referenced->message_id;
        for (std::size_t i = 0; i < referenced->references.size() && i + 1 < references_max; ++i) {
            references += " " + referenced->references[i];
        }
        add("References", references);
    }
    if (auto const headers = call.params.find("headers"); headers != call.params.end()) {
        for (auto const& header : *headers) add(header.value("key", ""), header.value("value", ""));
    }

    mail.attachments = attachments_at(call);
    if (referenced)
        mail.attachments.insert(mail.attachments.end(), referenced->attachments.begin(), referenced->attachments.end());
    std::vector<mime::NewAttachment> images;
    mail.html = extract_images(call.text("html"), domain, images);
    mail.attachments.insert(mail.attachments.end(), images.begin(), images.end());
    mail.text = call.text("text");
    if (mail.text.empty() && !mail.html.empty()) mail.text = mime::html_to_text(mail.html, html_text_max);

    Composed composed{.source = mime::build(mail), .from = from.front().address(), .recipients = {}};
    for (auto const* list : {&to, &cc, &bcc}) {
        for (auto const& address : *list) composed.recipients.push_back(address.address());
    }
    return composed;
}

}  // namespace mallard::api
