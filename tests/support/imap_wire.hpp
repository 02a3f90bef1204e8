#pragma once
// Checkers of the IMAP grammar, strict where the code under test may be tolerant: what ENVELOPE, BODY and
// BODYSTRUCTURE may look like on the wire (RFC 3501 §9). Shared by unit tests and fuzz targets.

#include <string_view>

namespace mallard::test {

bool is_envelope(std::string_view wire);
bool is_body(std::string_view wire, bool extended);  // extended: BODYSTRUCTURE with every extension field

}  // namespace mallard::test
