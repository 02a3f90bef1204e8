#include "accounts/normalize.hpp"

#include <unicode/idna.h>
#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "base/encoding.hpp"

namespace mallard::accounts {

namespace {

constexpr std::size_t username_bytes_max = 128;
constexpr std::size_t local_bytes_max = 64;     // RFC 5321 §4.5.3.1.1
constexpr std::size_t address_bytes_max = 254;  // RFC 5321 §4.5.3.1.3, without the angle brackets
constexpr std::size_t label_bytes_max = 63;     // RFC 1035 §2.3.4

bool is_ascii(std::string_view text) {
    return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

std::string to_utf8(icu::UnicodeString const& text) {
    std::string out;
    text.toUTF8String(out);
    return out;
}

bool is_space(UChar32 c) { return u_isUWhiteSpace(c) || c == 0xFEFF; }

void trim_unicode(icu::UnicodeString& text) {
    std::int32_t first = 0;
    std::int32_t last = text.length();
    while (first < last && is_space(text.charAt(first))) ++first;
    while (last > first && is_space(text.charAt(last - 1))) --last;
    text = icu::UnicodeString(text, first, last - first);
}

icu::UnicodeString nfc(icu::UnicodeString const& text) {
    UErrorCode status = U_ZERO_ERROR;
    auto const* normalizer = icu::Normalizer2::getNFCInstance(status);
    if (U_FAILURE(status)) return text;
    auto normal = normalizer->normalize(text, status);
    return U_FAILURE(status) ? text : normal;
}

std::string_view trim_ascii(std::string_view text) {
    auto const space = [](char c) { return c == ' ' || (c >= '\t' && c <= '\r'); };
    while (!text.empty() && space(text.front())) text.remove_prefix(1);
    while (!text.empty() && space(text.back())) text.remove_suffix(1);
    return text;
}

// Nearly every name is ASCII, which needs none of ICU.
std::string lower_trimmed(std::string_view text, bool compose) {
    if (is_ascii(text)) return to_lower(trim_ascii(text));
    auto unicode = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
    if (compose) unicode = nfc(unicode);
    unicode.toLower(icu::Locale::getRoot());
    trim_unicode(unicode);
    return to_utf8(unicode);
}

std::string lower(std::string_view text) {
    if (is_ascii(text)) return to_lower(text);
    auto unicode = icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())));
    return to_utf8(unicode.toLower(icu::Locale::getRoot()));
}

// Leaves a domain alone that is no valid punycode.
std::string from_punycode(std::string const& domain) {
    UErrorCode status = U_ZERO_ERROR;
    static std::unique_ptr<icu::IDNA const> const idna(
        icu::IDNA::createUTS46Instance(UIDNA_NONTRANSITIONAL_TO_UNICODE, status));
    if (U_FAILURE(status) || !idna) return domain;
    icu::IDNAInfo info;
    icu::UnicodeString unicode;
    idna->nameToUnicode(icu::UnicodeString::fromUTF8(domain), unicode, info, status);
    if (U_FAILURE(status) || info.hasErrors()) return domain;
    unicode = nfc(unicode);
    unicode.toLower(icu::Locale::getRoot());
    trim_unicode(unicode);
    return to_utf8(unicode);
}

std::string without_dots(std::string_view text) {
    std::string out(text);
    std::erase(out, '.');
    return out;
}

// Groups of [a-z0-9-] joined by single . _ = :
bool is_name_groups(std::string_view text) {
    bool in_group = false;
    for (char c : text) {
        bool const letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        if (!letter && (!in_group || (c != '.' && c != '_' && c != '=' && c != ':'))) return false;
        in_group = letter;
    }
    return in_group;
}

bool is_atom_character(char c) {  // RFC 5322 §3.2.3 atext, RFC 6531 §3.3
    auto const byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z'))
        return true;
    return std::string_view("!#$%&'*+-/=?^_`{|}~").find(c) != std::string_view::npos && c != '\0';
}

bool is_domain_label(std::string_view label) {
    if (label.empty() || label.size() > label_bytes_max || label.front() == '-' || label.back() == '-') return false;
    return std::ranges::all_of(label, [](char c) {
        auto const byte = static_cast<unsigned char>(c);
        return byte >= 0x80 || (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
               (byte >= 'A' && byte <= 'Z') || c == '-';
    });
}

// Calls test(part) for the parts between dots; false when one fails or there are fewer than `at_least`.
template <class F>
bool all_parts(std::string_view text, std::size_t at_least, F&& test) {
    std::size_t parts = 0;
    for (;;) {
        auto const dot = text.find('.');
        if (!test(text.substr(0, dot))) return false;
        ++parts;
        if (dot == std::string_view::npos) return parts >= at_least;
        text.remove_prefix(dot + 1);
    }
}

}  // namespace

std::string normalize_domain(std::string_view domain) {
    std::string normal = lower_trimmed(domain, false);
    if (normal.find("xn--") == std::string::npos) return normal;
    return from_punycode(normal);
}

std::string normalize_address(std::string_view address, bool remove_label, bool remove_dots) {
    auto const at = address.rfind('@');
    bool const has_local = at != std::string_view::npos;
    std::string normal = has_local ? lower_trimmed(address.substr(0, at), true) : std::string();
    if (remove_label) normal.resize(std::min(normal.size(), normal.find('+')));
    if (remove_dots) std::erase(normal, '.');
    return normal.append("@").append(normalize_domain(has_local ? address.substr(at + 1) : address));
}

std::string uview(std::string_view name) {
    auto const at = name.find('@');
    if (at == std::string_view::npos) return lower(without_dots(name));
    return lower(without_dots(name.substr(0, at)).append(name.substr(at)));
}

Result<std::string> check_username(std::string_view username) {
    std::string const name = to_lower(username);
    auto const at = name.find('@');
    bool const good = at == std::string::npos ? is_name_groups(name)
                                              : is_name_groups(std::string_view(name).substr(0, at)) &&
                                                    is_name_groups(std::string_view(name).substr(at + 1));
    if (name.size() > username_bytes_max || !good)
        return fail(ErrorKind::invalid,
                    "A username has 1 to 128 characters: letters a-z, digits and -, groups of them joined by one of "
                    ". _ = : and at most one @");
    return name;
}

bool is_email_address(std::string_view text) {
    auto const at = text.rfind('@');
    if (at == std::string_view::npos || at == 0 || at > local_bytes_max || text.size() > address_bytes_max)
        return false;
    if (!is_valid_utf8(text)) return false;
    return all_parts(
               text.substr(0, at), 1,
               [](std::string_view part) { return !part.empty() && std::ranges::all_of(part, is_atom_character); }) &&
           all_parts(text.substr(at + 1), 2, is_domain_label);
}

}  // namespace mallard::accounts
