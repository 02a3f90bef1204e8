// Header values: decoding gives valid UTF-8, encoding is undone by decoding, parameters are unique and bounded.

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "base/encoding.hpp"
#include "check.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"
#include "mime/html.hpp"
#include "mime/parameters.hpp"

using namespace mallard;

namespace {

// Control characters that decoding replaces, since no header may hold them.
std::string without_line_ends(std::string text) {
    std::ranges::replace_if(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; }, ' ');
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const raw(reinterpret_cast<char const*>(data), size);
    std::string const unfolded = mime::unfold(raw);
    MALLARD_FUZZ_CHECK(unfolded.find('\n') == std::string::npos && unfolded.size() <= raw.size());

    std::string const decoded = mime::decode_words(unfolded);
    MALLARD_FUZZ_CHECK(is_valid_utf8(decoded));
    std::string const encoded = mime::encode_words(decoded);
    MALLARD_FUZZ_CHECK(std::ranges::all_of(encoded, [](char c) { return (c >= ' ' && c < 127) || c == '\t'; }));
    MALLARD_FUZZ_CHECK(mime::decode_words(encoded) == (encoded == decoded ? decoded : without_line_ends(decoded)));

    mime::Parameterised const field = mime::parse_parameterised(unfolded);
    MALLARD_FUZZ_CHECK(field.parameters.size() <= mime::parameters_max);
    for (auto it = field.parameters.begin(); it != field.parameters.end(); ++it) {
        MALLARD_FUZZ_CHECK(is_valid_utf8(it->value) && is_valid_utf8(it->name) && !it->name.empty());
        MALLARD_FUZZ_CHECK(std::find_if(it + 1, field.parameters.end(),
                                        [&](auto const& p) { return p.name == it->name; }) == field.parameters.end());
    }
    for (std::string const& id : mime::parse_message_ids(unfolded))
        MALLARD_FUZZ_CHECK(id.starts_with('<') && id.ends_with('>'));

    std::string const text = mime::to_valid_utf8(raw);
    MALLARD_FUZZ_CHECK(is_valid_utf8(text) && is_valid_utf8(mime::html_to_text(text, 1000)));
    MALLARD_FUZZ_CHECK(is_valid_utf8(mime::fold_case(raw)));
    MALLARD_FUZZ_CHECK(mime::decode_transfer(mime::decode_transfer(raw, "base64"), "7bit").size() <= raw.size());
    MALLARD_FUZZ_CHECK(mime::decode_transfer(raw, "quoted-printable").size() <= raw.size());
    std::size_t const colon = std::min(raw.find(':'), raw.size());
    MALLARD_FUZZ_CHECK(is_valid_utf8(mime::to_utf8(raw.substr(std::min(colon + 1, raw.size())), raw.substr(0, colon))));
    return 0;
}
