// Configuration: what is read without a mistake is printed as a file that says the same; a mistake names its place.

#include <cstdint>
#include <string>
#include <string_view>

#include "check.hpp"
#include "config/settings.hpp"

using namespace mallard;

namespace {

void check_mistakes(config::Mistakes const& mistakes, std::string_view where) {
    for (config::Mistake const& mistake : mistakes)
        MALLARD_FUZZ_CHECK(mistake.where.starts_with(where) && !mistake.what.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const text(reinterpret_cast<char const*>(data), size);
    config::Settings assigned;
    check_mistakes(assigned.set(text, "--set"), "--set");

    config::Settings settings;
    config::Mistakes const mistakes = settings.read_toml(text, "file");
    check_mistakes(mistakes, "file");
    if (!mistakes.empty()) return 0;
    config::Settings again;
    MALLARD_FUZZ_CHECK(again.read_toml(config::print(settings), "printed").empty());
    for (config::Option const& option : config::options())
        MALLARD_FUZZ_CHECK(option.secret || again.value(option.key) == settings.value(option.key));
    MALLARD_FUZZ_CHECK(again.contradictions().size() == settings.contradictions().size());
    return 0;
}
