// A date that is read is one that can be written and read again.

#include <cstdint>
#include <string_view>

#include "check.hpp"
#include "mime/header.hpp"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    using namespace mallard;
    auto const when = mime::parse_date({reinterpret_cast<char const*>(data), size});
    if (!when) return 0;
    TimeMs const seconds = *when - ((*when % 1000) + 1000) % 1000;
    // Zones carry the first and the last day out of the four digits of a year.
    if (seconds < -62'135'596'800'000 || seconds > 253'402'300'799'000) return 0;
    MALLARD_FUZZ_CHECK(mime::parse_date(mime::format_date(*when)) == seconds);
    return 0;
}
