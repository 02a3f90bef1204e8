#pragma once
// BSON as text for tests, so that a difference can be read and a type cannot hide: 1 is int32, 1L int64, 1.0 double,
// Bin("...") binary of subtype 0, Date(ms). Ids that a test knows by name are shown by it.

#include <map>
#include <string>

#include "store/bson.hpp"

namespace mallard::bson {

using Names = std::map<ObjectId, std::string>;

inline std::string quoted_text(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out = "\"";
    for (char c : text) {
        auto const byte = static_cast<unsigned char>(c);
        if (c == '\r')
            out += "\\r";
        else if (c == '\n')
            out += "\\n";
        else if (c == '"' || c == '\\')
            (out += '\\') += c;
        else if (byte < 0x20 || byte >= 0x7F)
            ((out += "\\x") += digits[byte >> 4]) += digits[byte & 15];
        else
            out += c;
    }
    return out + '"';
}

std::string to_text(Value const& value, Names const& names = {});

inline std::string to_text(Document const& document, Names const& names = {}) {
    std::string out;
    for (auto const& [key, value] : document.fields()) {
        if (!out.empty()) out += ", ";
        out += key + ":" + to_text(value, names);
    }
    return '{' + out + '}';
}

inline std::string to_text(Value const& value, Names const& names) {
    struct Show {
        Names const& names;
        std::string operator()(Null) const { return "null"; }
        std::string operator()(bool v) const { return v ? "true" : "false"; }
        std::string operator()(std::int32_t v) const { return std::to_string(v); }
        std::string operator()(std::int64_t v) const { return std::to_string(v) + "L"; }
        std::string operator()(double v) const {
            auto const whole = static_cast<std::int64_t>(v);
            return static_cast<double>(whole) == v ? std::to_string(whole) + ".0" : std::to_string(v);
        }
        std::string operator()(std::string const& v) const { return quoted_text(v); }
        std::string operator()(ObjectId const& v) const {
            auto const known = names.find(v);
            return known == names.end() ? "Id(" + v.hex() + ")" : known->second;
        }
        std::string operator()(Date v) const { return "Date(" + std::to_string(v.ms) + ")"; }
        std::string operator()(Binary const& v) const {
            return "Bin" + (v.subtype == 0 ? "" : std::to_string(v.subtype)) + "(" + quoted_text(v.bytes) + ")";
        }
        std::string operator()(Array const& v) const {
            std::string out;
            for (auto const& one : v) {
                if (!out.empty()) out += ", ";
                out += to_text(one, names);
            }
            return '[' + out + ']';
        }
        std::string operator()(Document const& v) const { return to_text(v, names); }
    };
    return std::visit(Show{names}, value.variant());
}

}  // namespace mallard::bson
