#pragma once
// Charsets (ICU) and transfer encodings. Pure.

#include <string>
#include <string_view>

namespace mallard::mime {

// To valid UTF-8. Unknown charsets: as UTF-8 if it is that, else as windows-1252. Invalid sequences become U+FFFD.
std::string to_utf8(std::string_view bytes, std::string_view charset);
std::string to_valid_utf8(std::string_view bytes);  // invalid sequences become U+FFFD

// Content-Transfer-Encoding; tolerant of any garbage (skipped or kept as it is). Unknown encodings: as they are.
std::string decode_transfer(std::string_view content, std::string_view encoding);

// Lower case by Unicode rules, for case-insensitive search.
std::string fold_case(std::string_view utf8);

// Bytes that sort as people sort words in any language (CLDR's root collation): "a" < "Ä" < "b". Invalid UTF-8: as
// U+FFFD.
std::string collation_key(std::string_view utf8);

// RFC 5891 §4, §5: "täht.ee" <-> "xn--tht-qla.ee". What cannot be converted stays as it is.
std::string domain_to_ascii(std::string_view domain);
std::string domain_to_unicode(std::string_view domain);

}  // namespace mallard::mime
