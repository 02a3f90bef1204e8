#include <nlohmann/json.hpp>

#include "app/command_support.hpp"

namespace mallard::app {

int command_check(CommonOptions const& common, CheckOptions const& options) {
    auto const administration = open_administration(common, "check");
    if (!administration) return report(administration.error());
    Progress progress("Checking");
    auto const found = (*administration)
                           ->call({{"command", "check"}, {"repair", options.repair}},
                                  [&](std::uint64_t done, std::uint64_t total) { progress.update(done, total); });
    progress.clear();
    if (!found) return report(found.error());
    auto const count = [&](char const* key) { return found->at(key).get<std::uint64_t>(); };
    std::uint64_t const problems = count("problemCount"), repaired = count("repaired");
    bool const sound = problems <= repaired;
    if (options.json) {
        fmt::print("{}\n", found->dump(2));
        return sound ? 0 : 1;
    }
    for (Json const& problem : found->at("problems")) fmt::print("{}\n", problem.get<std::string>());
    if (std::size_t const told = found->at("problems").size(); problems > told)
        fmt::print("… and {} more\n", human_count(problems - told));
    fmt::print("Checked {} users, {} mailboxes, {} messages, {} bodies in {}: ", human_count(count("users")),
               human_count(count("mailboxes")), human_count(count("messages")), human_count(count("bodies")),
               human_duration(progress.elapsed()));
    if (problems == 0)
        fmt::print("all is well\n");
    else if (options.repair)
        fmt::print("{} problems, {} repaired\n", human_count(problems), human_count(repaired));
    else
        fmt::print("{} problems; `mallard check --repair` mends what can be mended\n", human_count(problems));
    return sound ? 0 : 1;
}

}  // namespace mallard::app
