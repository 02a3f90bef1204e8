#pragma once
// Parameterised fields: Content-Type, Content-Disposition (RFC 2045 §5.1, RFC 2183 §2, RFC 2231 §3). Pure; any input
// gives a value.

#include <string>
#include <string_view>
#include <vector>

#include "mime/message.hpp"

namespace mallard::mime {

struct Parameterised {
    std::string_view value;             // before the first ';', comments cut, trimmed; a view into the input
    std::vector<Parameter> parameters;  // names lower case, unique; values decoded; in order of appearance
    std::string boundary;               // the raw octets of "boundary": what is compared with the lines of the body
};

constexpr std::size_t parameters_max = 256;  // per field; later ones are not looked at

Parameterised parse_parameterised(std::string_view unfolded);

}  // namespace mallard::mime
