#include "store/types.hpp"

#include <array>

#include "base/encoding.hpp"

namespace mallard::store {

namespace {

struct Name {
    std::uint8_t bit;
    std::string_view name;
};
constexpr std::array<Name, 5> names = {{
    {seen, "\\Seen"},
    {answered, "\\Answered"},
    {flagged, "\\Flagged"},
    {deleted, "\\Deleted"},
    {draft, "\\Draft"},
}};

}  // namespace

std::uint8_t system_flag(std::string_view name) {
    for (auto const& known : names)
        if (iequals(known.name, name)) return known.bit;
    return 0;
}

std::vector<std::string_view> system_flag_names(std::uint8_t bits) {
    std::vector<std::string_view> set;
    for (auto const& known : names)
        if (bits & known.bit) set.push_back(known.name);
    return set;
}

}  // namespace mallard::store
