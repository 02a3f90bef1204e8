#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/command_support.hpp"
#include "config/options.hpp"

namespace mallard::app {

namespace {

std::string_view mistake_in(MigrateOptions const& options) {
    if (options.from.empty() || options.to.empty() || (options.from == "mongodb" && options.to == "mongodb"))
        return "say --from embedded --to mongodb, or --from mongodb --to embedded";
    if (options.from == options.to && options.to_data.empty()) return "say with --to-data where to move to";
    if (options.to == "mongodb" && !options.to_data.empty()) return "--to-data is for --to embedded";
    return {};
}

std::string target_name(MigrateOptions const& options) {
    return options.to_data.empty() ? options.to : fmt::format("{} in {}", options.to, options.to_data);
}

// The options by which the other side opens the store to move to.
Result<Json> target_settings(config::Settings const& settings, MigrateOptions const& options) {
    Json out = Json::array({"store=" + options.to});
    for (config::Option const& option : config::options()) {
        bool const of_store = option.key.starts_with("dbs.") || option.key.starts_with("embedded.");
        if (!of_store || settings.origin(option.key) == "default") continue;
        auto const& value = settings.value(option.key);
        std::string text;
        if (auto const* flag = std::get_if<bool>(&value)) text = *flag ? "true" : "false";
        if (auto const* number = std::get_if<std::int64_t>(&value)) text = std::to_string(*number);
        if (auto const* words = std::get_if<std::string>(&value)) text = *words;
        out.push_back(fmt::format("{}={}", option.key, text));
    }
    std::error_code error;
    auto const& wanted = options.to_data.empty() ? settings.text("dataDir") : options.to_data;
    auto const directory = std::filesystem::absolute(wanted, error);
    if (error) return fail(ErrorKind::io, "cannot find the data directory", error.message());
    out.push_back("dataDir=" + directory.string());
    return out;
}

// One run on the side that has the source, with its progress.
Result<Json> run(Administration& administration, Json const& request, Json& compared) {
    MALLARD_TRY_ASSIGN(Channel channel, administration.connect());
    MALLARD_TRY(channel.send(request));
    std::unique_ptr<Progress> progress;
    std::string shown;
    for (;;) {
        MALLARD_TRY_ASSIGN(Json const reply, channel.receive_json());
        if (auto const it = reply.find("error"); it != reply.end()) return std::unexpected(error_from_json(*it));
        if (auto const it = reply.find("result"); it != reply.end()) return *it;
        if (auto const it = reply.find("compared"); it != reply.end()) compared.push_back(*it);
        if (auto const it = reply.find("progress"); it != reply.end()) {
            if (auto const what = reply.value("what", ""); what != shown) {
                progress = std::make_unique<Progress>(what);
                shown = what;
            }
            progress->update(it->at(0), it->at(1));
        }
    }
}

// Asks the server to stop and waits until it has.
Result<void> stop_server(Administration& administration) {
    fmt::print("Stopping the server\n");
    std::fflush(stdout);
    MALLARD_TRY_ASSIGN(Channel channel, administration.connect());
    MALLARD_TRY(channel.send(Json{{"command", "serve.stop"}}));
    MALLARD_TRY(receive_result(channel));
    auto const give_up = std::chrono::steady_clock::now() + std::chrono::seconds(15);  // it has ten to end in
    while (administration.connect()) {
        if (std::chrono::steady_clock::now() > give_up)
            return fail(ErrorKind::conflict,
                        "the server does not stop, or was started again: stop it, then run this again");
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return {};
}

int tell_problems(Json const& result) {
    for (Json const& problem : result.at("problems")) fmt::print("{}\n", problem.get<std::string>());
    fmt::print("{} differences: the store was not moved; the source is untouched\n",
               human_count(result.at("problemCount").get<std::uint64_t>()));
    return 1;
}

std::string count_of(Json const& result, char const* key) { return human_count(result.at(key).get<std::uint64_t>()); }

int abandon(config::Settings const& settings) {
    auto const administration = Administration::open(settings, "migrate");
    if (!administration) return report(administration.error());
    auto const done = (*administration)->call({{"command", "migrate.abandon"}});
    if (!done) return report(done.error());
    fmt::print("The {} store may be served again\n", settings.text("store"));
    return 0;
}

}  // namespace

int command_migrate(CommonOptions const& common, MigrateOptions const& options) {
    CommonOptions source = common;
    if (!options.from.empty()) source.assignments.push_back("store=" + options.from);
    auto settings = load_settings(source);
    if (!settings) return report(settings.error());
    LogConfig quiet;
    quiet.level = LogLevel::warning;
    if (auto const started = log_start(quiet); !started) return report(started.error());
    if (options.abandon) return abandon(*settings);
    if (auto const mistake = mistake_in(options); !mistake.empty()) {
        complain(mistake);
        return 2;
    }
    auto const target = target_settings(*settings, options);
    if (!target) return report(target.error());
    Json request{{"command", "migrate"}, {"from", options.from}, {"to", target_name(options)}, {"settings", *target}};
    request["lock"] = !options.to_data.empty();
    Json compared = Json::array();

    auto administration = Administration::open(*settings, "migrate");
    if (!administration) return report(administration.error());
    bool const served = (*administration)->is_remote();
    if (served && options.finish && options.from == "mongodb") {
        complain("stop every server that uses the database, this machine's too; then run this again");
        return 1;
    }
    if (served || !options.finish) {
        auto const copied = run(**administration, request, compared);
        if (!copied) return report(copied.error());
        if (copied->at("problemCount") > 0) return tell_problems(*copied);
        fmt::print("Copied {} messages, all bytes compared; {} changes came meanwhile\n", count_of(*copied, "messages"),
                   count_of(*copied, "changes"));
        if (!options.finish) {
            fmt::print(
                "To finish, run this again with --switch: it {}copies what is left, compares all, and switches\n",
                served ? "stops the server, " : "");
            return 0;
        }
    }
    if (served) {
        if (auto const stopped = stop_server(**administration); !stopped) return report(stopped.error());
        administration = Administration::open(*settings, "migrate");
        if (!administration) return report(administration.error());
        if ((*administration)->is_remote()) {
            complain("the server was started again: stop it where it is supervised, and run this again");
            return 1;
        }
    }
    request["finish"] = true;
    request["compared"] = std::move(compared);
    Json none;
    auto const moved = run(**administration, request, none);
    if (!moved) return report(moved.error());
    if (moved->at("problemCount") > 0) return tell_problems(*moved);
    fmt::print("Verified {} users, {} mailboxes, {} messages, {} documents: both stores are equal\n",
               count_of(*moved, "users"), count_of(*moved, "mailboxes"), count_of(*moved, "messages"),
               count_of(*moved, "documents"));
    fmt::print(
        "Now set store = \"{}\"{} in the configuration and start the server; the old store is kept, not served\n",
        options.to, options.to_data.empty() ? "" : fmt::format(" and dataDir = \"{}\"", options.to_data));
    return 0;
}

}  // namespace mallard::app
