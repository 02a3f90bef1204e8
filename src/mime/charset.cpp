#include "mime/charset.hpp"

#include <unicode/bytestream.h>
#include <unicode/casemap.h>
#include <unicode/coll.h>
#include <unicode/ucnv.h>
#include <unicode/ucnv_cb.h>
#include <unicode/uidna.h>
#include <unicode/unistr.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <vector>

#include "base/encoding.hpp"

namespace mallard::mime {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD
constexpr std::size_t charset_name_max = 40;
constexpr std::size_t cached_converters_max = 16;  // per thread

struct CloseConverter {
    void operator()(UConverter* converter) const { ucnv_close(converter); }
};
using Converter = std::unique_ptr<UConverter, CloseConverter>;

// What mail means by a name, where ICU reads it more narrowly (the WHATWG Encoding Standard's labels).
constexpr std::array<std::pair<std::string_view, std::string_view>, 14> aliases{{
    {"iso-8859-1", "windows-1252"},
    {"latin1", "windows-1252"},
    {"iso8859-1", "windows-1252"},
    {"iso-8859-9", "windows-1254"},
    {"ks_c_5601-1987", "windows-949"},
    {"ks_c_5601-1989", "windows-949"},
    {"euc-kr", "windows-949"},
    {"gb2312", "gb18030"},
    {"gbk", "gb18030"},
    {"x-gbk", "gb18030"},
    {"x-sjis", "shift_jis"},
    {"iso-8859-8-i", "iso-8859-8"},
    {"unicode-1-1-utf-7", "utf-7"},
    {"tis-620", "windows-874"},
}};

// Our replacement: ICU's own would give U+001A for a single bad octet in some charsets.
void substitute(void const*, UConverterToUnicodeArgs* args, char const*, std::int32_t, UConverterCallbackReason reason,
                UErrorCode* error) {
    if (reason > UCNV_IRREGULAR) return;
    *error = U_ZERO_ERROR;
    UChar const mark = 0xFFFD;
    ucnv_cbToUWriteUChars(args, &mark, 1, 0, error);
}

Converter open_converter(std::string const& name) {
    UErrorCode error = U_ZERO_ERROR;
    // Asked before opening: for a name that ICU does not know ucnv_open would look for a file.
    if (ucnv_countAliases(name.c_str(), &error) == 0 || U_FAILURE(error)) return nullptr;
    Converter converter(ucnv_open(name.c_str(), &error));
    if (U_FAILURE(error)) return nullptr;
    ucnv_setToUCallBack(converter.get(), substitute, nullptr, nullptr, nullptr, &error);
    return U_FAILURE(error) ? nullptr : std::move(converter);
}

// This thread's converter for a charset; nullptr when there is none of that name.
UConverter* converter_for(std::string_view charset) {
    thread_local std::vector<std::pair<std::string, Converter>> cache;  // most recently opened last
    auto const found =
        std::ranges::find(cache, charset, [](auto const& entry) { return std::string_view(entry.first); });
    if (found != cache.end()) return found->second.get();
    if (cache.size() == cached_converters_max) cache.erase(cache.begin());
    auto const alias = std::ranges::find(aliases, charset, [](auto const& entry) { return entry.first; });
    std::string const name(alias == aliases.end() ? charset : alias->second);
    return cache.emplace_back(std::string(charset), open_converter(name)).second.get();
}

bool is_plain_name(std::string_view name) {
    return !name.empty() && name.size() <= charset_name_max && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == ':';
    });
}

std::string convert(UConverter* from, std::string_view bytes) {
    thread_local Converter const utf8 = [] {
        UErrorCode error = U_ZERO_ERROR;
        return Converter(ucnv_open("UTF-8", &error));
    }();
    std::string out;
    if (!utf8) return out;
    ucnv_resetToUnicode(from);
    ucnv_resetFromUnicode(utf8.get());
    std::array<UChar, 1024> pivot;
    UChar *pivot_source = pivot.data(), *pivot_target = pivot.data();
    std::array<char, 4096> buffer;
    char const* source = bytes.data();
    char const* const source_end = source + bytes.size();
    UErrorCode error = U_BUFFER_OVERFLOW_ERROR;
    bool first = true;
    while (error == U_BUFFER_OVERFLOW_ERROR) {
        error = U_ZERO_ERROR;
        char* target = buffer.data();
        ucnv_convertEx(utf8.get(), from, &target, buffer.data() + buffer.size(), &source, source_end, pivot.data(),
                       &pivot_source, &pivot_target, pivot.data() + pivot.size(), first, true, &error);
        first = false;
        out.append(buffer.data(), static_cast<std::size_t>(target - buffer.data()));
    }
    return out;
}

bool is_ascii(std::string_view text) {
    unsigned char all = 0;
    for (char c : text) all |= static_cast<unsigned char>(c);
    return all < 0x80;
}

// The length of the well-formed UTF-8 sequence at the front (RFC 3629 §4); 0: there is none.
std::size_t sequence_length(std::string_view text) {
    for (std::size_t length = 1; length <= std::min<std::size_t>(4, text.size()); ++length)
        if (is_valid_utf8(text.substr(0, length))) return length;
    return 0;
}

std::string domain_with(int32_t (*run)(UIDNA const*, UChar const*, int32_t, UChar*, int32_t, UIDNAInfo*, UErrorCode*),
                        std::string_view domain) {
    constexpr std::size_t domain_max = 1024;
    thread_local std::unique_ptr<UIDNA, void (*)(UIDNA*)> const idna = [] {
        UErrorCode error = U_ZERO_ERROR;
        return std::unique_ptr<UIDNA, void (*)(UIDNA*)>(
            uidna_openUTS46(UIDNA_NONTRANSITIONAL_TO_ASCII | UIDNA_NONTRANSITIONAL_TO_UNICODE | UIDNA_USE_STD3_RULES,
                            &error),
            uidna_close);
    }();
    if (!idna || domain.size() > domain_max) return std::string(domain);
    icu::UnicodeString const source =
        icu::UnicodeString::fromUTF8({domain.data(), static_cast<int32_t>(domain.size())});
    std::array<UChar, domain_max> buffer;
    UIDNAInfo info = UIDNA_INFO_INITIALIZER;
    UErrorCode error = U_ZERO_ERROR;
    int32_t const length = run(idna.get(), source.getBuffer(), source.length(), buffer.data(),
                               static_cast<int32_t>(buffer.size()), &info, &error);
    if (U_FAILURE(error) || info.errors != 0 || length <= 0) return std::string(domain);
    std::string out;
    icu::UnicodeString(false, buffer.data(), length).toUTF8String(out);
    return out;
}

}  // namespace

std::string to_valid_utf8(std::string_view bytes) {
    if (is_valid_utf8(bytes)) return std::string(bytes);
    std::string out;
    out.reserve(bytes.size() + 16);
    for (std::size_t at = 0; at < bytes.size();) {
        std::size_t const length = sequence_length(bytes.substr(at, 4));
        out.append(length ? bytes.substr(at, length) : replacement);
        at += std::max<std::size_t>(length, 1);
    }
    return out;
}

std::string to_utf8(std::string_view bytes, std::string_view charset) {
    std::string name = to_lower(trim(charset));
    if (name == "utf-8" || name == "utf8") return to_valid_utf8(bytes);
    bool const narrow = name.empty() || name == "us-ascii" || name == "ascii";
    UConverter* const converter = narrow || !is_plain_name(name) ? nullptr : converter_for(name);
    if (!converter) {
        if (is_ascii(bytes) || is_valid_utf8(bytes)) return std::string(bytes);
        UConverter* const fallback = converter_for("windows-1252");
        return fallback ? convert(fallback, bytes) : to_valid_utf8(bytes);
    }
    return to_valid_utf8(convert(converter, bytes));
}

std::string fold_case(std::string_view utf8) {
    if (is_ascii(utf8)) return to_lower(utf8);
    std::string const valid = to_valid_utf8(utf8);
    std::string out;
    icu::StringByteSink<std::string> sink(&out);
    UErrorCode error = U_ZERO_ERROR;
    icu::CaseMap::utf8Fold(0, icu::StringPiece(valid.data(), static_cast<int32_t>(valid.size())), sink, nullptr, error);
    return U_FAILURE(error) ? to_lower(valid) : out;
}

std::string collation_key(std::string_view utf8) {
    static std::unique_ptr<icu::Collator> const collator = [] {
        UErrorCode error = U_ZERO_ERROR;
        return std::unique_ptr<icu::Collator>(icu::Collator::createInstance(icu::Locale::getRoot(), error));
    }();
    if (!collator) return fold_case(utf8);
    auto const text = icu::UnicodeString::fromUTF8(icu::StringPiece(utf8.data(), static_cast<int32_t>(utf8.size())));
    std::string key(4 * utf8.size() + 16, '\0');
    auto size = static_cast<std::size_t>(
        collator->getSortKey(text, reinterpret_cast<std::uint8_t*>(key.data()), static_cast<int32_t>(key.size())));
    if (size > key.size()) {
        key.resize(size);
        collator->getSortKey(text, reinterpret_cast<std::uint8_t*>(key.data()), static_cast<int32_t>(key.size()));
    }
    key.resize(size);
    return key;
}

std::string domain_to_ascii(std::string_view domain) {
    return is_ascii(domain) ? std::string(domain) : domain_with(uidna_nameToASCII, domain);
}

std::string domain_to_unicode(std::string_view domain) {
    if (domain.find("xn--") == std::string_view::npos && domain.find("XN--") == std::string_view::npos)
        return std::string(domain);
    return domain_with(uidna_nameToUnicode, domain);
}

}  // namespace mallard::mime
