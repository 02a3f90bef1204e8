#pragma once
// HTML as readers without HTML see it, and plain text as HTML (storage.md §11.2). Pure, linear, tolerant of any input.

#include <string>
#include <string_view>

namespace mallard::mime {

// Tags, comments, scripts and styles are dropped, blocks end lines, character references are decoded, blanks collapse.
// Stops once `bytes_max` octets are written (it may write a few more). Input and output are UTF-8.
std::string html_to_text(std::string_view html, std::size_t bytes_max);

// Escaped; a paragraph per blank line, <br/> per line end.
std::string text_to_html(std::string_view text);

void append_utf8(std::string& out, char32_t code);  // what is no character becomes U+FFFD

}  // namespace mallard::mime
