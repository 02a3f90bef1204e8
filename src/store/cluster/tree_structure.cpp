#include "store/cluster/tree_structure.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Document;
using bson::Null;
using bson::Value;

Value binary_or_null(std::string text) { return text.empty() ? Value() : Value(Binary{std::move(text)}); }
Value text_or_null(std::string_view text) { return text.empty() ? Value() : Value(text); }

std::string_view last_text(Document const& parsed, std::string_view key) {  // a string, or the last of several
    if (auto const* list = parsed.array(key)) {
        for (auto value = list->rbegin(); value != list->rend(); ++value)
            if (auto const* text = value->as<std::string>(); text && !trim(*text).empty()) return *text;
        return {};
    }
    return parsed.text(key);
}

void append_address(Array& out, Document const& address) {
    std::string name = mime::decode_words(address.text("name"));
    if (auto const* members = address.array("group")) {
        Value label = name.empty() ? Value("") : Value(Binary{std::move(name)});
        out.push_back(Array{Null{}, Null{}, std::move(label), Null{}});
        for (auto const& member : *members)
            if (auto const* document = member.as<Document>()) append_address(out, *document);
        out.push_back(Array{Null{}, Null{}, Null{}, Null{}});
        return;
    }
    std::string_view const text = address.text("address");
    auto const at = text.rfind('@');
    std::string domain;
    if (at != std::string_view::npos) domain = mime::domain_to_unicode(text.substr(at + 1));
    out.push_back(Array{binary_or_null(std::move(name)), Null{}, binary_or_null(mime::decode_words(text.substr(0, at))),
                        binary_or_null(std::move(domain))});
}

Value address_list(Document const& parsed, std::string_view key) {
    auto const* list = parsed.array(key);
    if (!list) return Null{};
    Array out;
    for (auto const& address : *list)
        if (auto const* document = address.as<Document>()) append_address(out, *document);
    return out.empty() ? Value() : Value(std::move(out));
}

Value parameters(Document const* field) {
    auto const* params = field ? field->document("params") : nullptr;
    if (!params || params->empty()) return Null{};
    Array out;
    for (auto const& [key, value] : params->fields()) {
        out.emplace_back(to_upper(key));
        auto const* text = value.as<std::string>();
        out.emplace_back(Binary{text ? mime::decode_words(*text) : std::string()});
    }
    return out;
}

Value disposition(Document const& parsed) {
    auto const* field = parsed.document("content-disposition");
    if (!field || field->text("value").empty()) return Null{};
    return Array{to_upper(field->text("value")), parameters(field)};
}

Value languages(Document const& parsed) {
    std::string_view text = parsed.text("content-language");
    Array out;
    while (!text.empty()) {
        auto const comma = std::min(text.find(','), text.size());
        if (auto const one = trim(text.substr(0, comma)); !one.empty()) out.emplace_back(one);
        text.remove_prefix(std::min(comma + 1, text.size()));
    }
    return out.empty() ? Value() : Value(std::move(out));
}

void append_extension(Array& out, Document const& parsed) {
    out.push_back(disposition(parsed));
    out.push_back(languages(parsed));
    out.push_back(text_or_null(parsed.text("content-location")));
}

constexpr std::size_t value_bytes_max = 880;  // of a searchable header

// Cut to 880 octets, then four characters (UTF-16 code units) fewer (§11.2).
std::string shortened(std::string_view value) {
    std::string out = mime::to_valid_utf8(value.substr(0, value_bytes_max));
    for (int units = 4; units > 0 && !out.empty();) {
        std::size_t at = out.size() - 1;
        while (at > 0 && (static_cast<unsigned char>(out[at]) & 0xC0) == 0x80) --at;
        units -= out.size() - at == 4 ? 2 : 1;
        out.resize(at);
    }
    return out;
}

}  // namespace

bson::Array envelope_array(TreeNode const& message) {
    Document const& parsed = message.parsed;
    Array out;
    Value const* date = parsed.find("date");
    out.push_back(date ? *date : Value());
    out.emplace_back(Binary{mime::decode_words(last_text(parsed, "subject"))});
    Value from = address_list(parsed, "from");
    Value sender = address_list(parsed, "sender"), reply_to = address_list(parsed, "reply-to");
    out.push_back(from);
    out.push_back(sender.is_null() ? from : std::move(sender));
    out.push_back(reply_to.is_null() ? from : std::move(reply_to));
    for (std::string_view key : {"to", "cc", "bcc"}) out.push_back(address_list(parsed, key));
    out.push_back(text_or_null(parsed.text("in-reply-to")));
    out.push_back(text_or_null(parsed.text("message-id")));
    return out;
}

bson::Array bodystructure_array(TreeNode const& node) {
    Document const& parsed = node.parsed;
    Document const* const type = parsed.document("content-type");
    Array out;
    if (type->text("type") == "multipart") {
        for (auto const& child : node.children) out.emplace_back(bodystructure_array(*child));
        if (node.children.empty()) out.emplace_back(Array{});
        out.emplace_back(to_upper(type->text("subtype")));
        out.push_back(parameters(type));
        append_extension(out, parsed);
        return out;
    }
    bool const known = !type->text("type").empty() && !type->text("subtype").empty();
    out.emplace_back(known ? to_upper(type->text("type")) : "APPLICATION");
    out.emplace_back(known ? to_upper(type->text("subtype")) : "OCTET-STREAM");
    out.push_back(parameters(type));
    out.push_back(text_or_null(parsed.text("content-id")));
    out.push_back(text_or_null(parsed.text("content-description")));
    std::string_view const encoding = parsed.text("content-transfer-encoding");
    out.emplace_back(encoding.empty() ? std::string("7BIT") : to_upper(encoding));
    out.push_back(bson::number(static_cast<std::int64_t>(node.size)));
    if (node.message) {
        out.emplace_back(envelope_array(*node.message));
        out.emplace_back(bodystructure_array(*node.message));
    }
    if (node.message || type->text("type") == "text")
        out.push_back(bson::number(static_cast<std::int64_t>(node.lines)));
    out.push_back(text_or_null(parsed.text("content-md5")));
    append_extension(out, parsed);
    return out;
}

bson::Array searchable_headers(TreeNode const& message) {
    constexpr std::array<std::string_view, 11> wanted{"to",           "cc",      "bcc",         "subject",
                                                      "from",         "sender",  "reply-to",    "message-id",
                                                      "thread-index", "list-id", "delivered-to"};
    Array out;
    for (auto const& line : message.header) {
        auto const colon = line.find(':');
        if (colon == std::string::npos) continue;
        std::string key = to_lower(trim(std::string_view(line).substr(0, colon)));
        if (std::ranges::find(wanted, key) == wanted.end()) continue;
        std::string value = mime::fold_case(
            mime::decode_words(collapse_folding(trim(mime::to_valid_utf8(std::string_view(line).substr(colon + 1))))));
        if (key == "list-id") {
            auto const open = value.find('<');
            auto const close = value.find('>', open == std::string::npos ? 0 : open);
            if (open != std::string::npos && close != std::string::npos)
                value = value.substr(open + 1, close - open - 1);
        }
        if (value.size() >= value_bytes_max) value = shortened(value);
        out.emplace_back(Document{{"key", std::move(key)}, {"value", std::move(value)}});
    }
    return out;
}

}  // namespace mallard::store::cluster
