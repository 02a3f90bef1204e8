#pragma once
// Addresses on the SMTP wire (RFC 5321 §4.1.2, RFC 6531 §3.3). Pure.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mallard::smtp {

struct Path {
    std::string local;   // without quotes and backslashes; empty: the null path "<>"
    std::string domain;  // as written: a name, or "[192.0.2.1]"; empty for the null path and for <Postmaster>
    bool operator==(Path const&) const = default;

    bool is_null() const { return local.empty() && domain.empty(); }
    bool is_ascii() const;
    std::string address() const;  // as it is written between < and >: quoted where it must be; "" for the null path
};

enum class PathKind { reverse, forward };  // reverse may be "<>", forward may be "<Postmaster>"

inline constexpr std::size_t local_part_bytes_max = 64;  // RFC 5321 §4.5.3.1.1
inline constexpr std::size_t domain_bytes_max = 255;     // RFC 5321 §4.5.3.1.2

// Takes a path off the front of `text`; none: not a path, and `text` is as it was. Source routes are read and dropped
// (RFC 5321 §4.1.1.3). Non-ASCII must be UTF-8.
std::optional<Path> take_path(std::string_view& text, PathKind kind);

}  // namespace mallard::smtp
