// An address list that is written and read again says the same.

#include <cstdint>
#include <string_view>

#include "base/encoding.hpp"
#include "check.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"

using namespace mallard;

namespace {

bool same(std::vector<mime::Address> const& a, std::vector<mime::Address> const& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i].name != b[i].name || a[i].mailbox != b[i].mailbox || a[i].is_group != b[i].is_group ||
            mime::domain_to_ascii(a[i].host) != b[i].host || !same(a[i].group, b[i].group))
            return false;
    return true;
}

void check_text(std::vector<mime::Address> const& list) {
    for (mime::Address const& address : list) {
        MALLARD_FUZZ_CHECK(is_valid_utf8(address.name) && is_valid_utf8(address.mailbox) &&
                           is_valid_utf8(address.host));
        MALLARD_FUZZ_CHECK(address.is_group || address.group.empty());
        check_text(address.group);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text(reinterpret_cast<char const*>(data), size);
    auto const list = mime::parse_addresses(mime::unfold(text));
    check_text(list);
    std::string const written = mime::format_addresses(list);
    auto const again = mime::parse_addresses(written);
    MALLARD_FUZZ_CHECK(same(list, again));
    MALLARD_FUZZ_CHECK(mime::format_addresses(again) == written);
    return 0;
}
