// The sides of `mallard migrate` that have the source store: see docs/decisions/0022-migration.md.

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <mutex>
#include <nlohmann/json.hpp>

#include "app/administration.hpp"
#include "config/options.hpp"
#include "migrate/migration.hpp"

namespace mallard::app {

namespace {

constexpr std::uint64_t few_changes = 100;  // so few are left to the last passes
constexpr int online_passes_max = 10;
constexpr int quiet_passes_max = 5;
constexpr auto progress_pause = std::chrono::milliseconds(100);

migrate::Side side_of(Engine& engine) { return {engine.documents(), engine.mail(), engine.state()}; }

struct Target {
    std::unique_ptr<DataDirectory::Lock> lock;  // outlives the store; null: the source's own directory
    std::unique_ptr<Engine> engine;
};

// The store to move to, by the options that came with the request.
Result<Target> open_target(Core& core, Json const& request) {
    config::Settings settings;
    for (Json const& assignment : request.at("settings")) {
        auto const mistakes = settings.set(assignment.get<std::string>(), "migrate");
        if (!mistakes.empty())
            return fail(ErrorKind::invalid, "this release does not know an option of the other: use one release");
    }
    MALLARD_TRY_ASSIGN(auto const directory, DataDirectory::open(settings.text("dataDir")));
    Target target;
    if (request.value("lock", false)) {
        MALLARD_TRY_ASSIGN(target.lock, directory.lock("migrate"));
    }
    MALLARD_TRY_ASSIGN(target.engine, open_engine(settings, directory, core.clock));
    return target;
}

// Tells the other side how far it is; false when that is gone, or the server is stopping.
class Reporter {
public:
    explicit Reporter(Channel& channel) : channel_(channel) {}
    bool operator()(std::string_view what, std::uint64_t done, std::uint64_t total) {
        char byte = 0;
        if (::recv(channel_.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0) return false;
        auto const now = std::chrono::steady_clock::now();
        if (now < next_ && what == what_) return true;
        next_ = now + progress_pause;
        what_ = what;
        return channel_.send(Json{{"progress", {done, total}}, {"what", what}}).has_value();
    }

private:
    Channel& channel_;
    std::chrono::steady_clock::time_point next_;
    std::string what_;
};

Result<void> send_compared(migrate::Compared const& compared, Channel& channel) {
    for (auto const& [mailbox, uids] : compared) {
        Json ranges = Json::array();
        for (auto const& range : uids.ranges()) ranges.push_back({range.first, range.last});
        MALLARD_TRY(channel.send(Json{{"compared", {{"mailbox", mailbox.hex()}, {"uids", std::move(ranges)}}}}));
    }
    return {};
}

migrate::Compared compared_from(Json const& list) {
    migrate::Compared compared;
    for (Json const& entry : list) {
        auto const id = MailboxId::from_hex(entry.at("mailbox").get<std::string>());
        if (!id) continue;
        for (Json const& range : entry.at("uids"))
            compared[*id].add(range.at(0).get<std::uint32_t>(), range.at(1).get<std::uint32_t>());
    }
    return compared;
}

Json to_json(migrate::Verified const& verified) {
    return {{"users", verified.users},       {"mailboxes", verified.mailboxes},
            {"messages", verified.messages}, {"documents", verified.documents},
            {"problems", verified.problems}, {"problemCount", verified.problem_count}};
}

// While the source is served: until little is left, and all bytes are compared.
Result<Json> copy_online(migrate::Migration& migration, Channel& channel) {
    std::uint64_t left = UINT64_MAX;
    for (int passes = 0; passes < online_passes_max; ++passes) {
        auto const before = left;
        MALLARD_TRY_ASSIGN(left, migration.pass());
        if (left <= few_changes || left > before / 2) break;  // or as much comes in as goes over
    }
    MALLARD_TRY_ASSIGN(auto verified, migration.verify_contents());
    MALLARD_TRY_ASSIGN(left, migration.pass());  // what came while that went on
    for (auto const& [mailbox, uids] : migration.compared()) verified.messages += uids.count();
    MALLARD_TRY(send_compared(migration.compared(), channel));
    Json result = to_json(verified);
    result["changes"] = left;
    return result;
}

std::unexpected<Error> still_used(std::string const& how) {
    return fail(
        ErrorKind::conflict,
        fmt::format("the store to move from is still {}: stop every process that uses it, then run this again", how));
}

// Others who serve from a store that is shared would go on with what was moved.
Result<void> nobody_else(Engine& source) {
    auto const others = source.others();
    if (!others && others.error().kind == ErrorKind::not_supported) return {};  // what they write tells of them
    MALLARD_TRY(others);
    if (others->empty()) return {};
    return still_used(fmt::format("in use by {}", fmt::join(*others, ", ")));
}

// While nobody writes to the source.
Result<Json> copy_the_rest(migrate::Migration& migration, Engine& source, Engine& target) {
    MALLARD_TRY(nobody_else(source));
    constexpr char const* written = "being written to";
    for (int passes = 0;; ++passes) {
        if (passes == quiet_passes_max) return still_used(written);
        MALLARD_TRY_ASSIGN(auto const changes, migration.pass());
        if (changes == 0) break;
    }
    if (target.is_shared()) MALLARD_TRY(target.mail().check(true, {}));  // counters that a broken-off run left too high
    MALLARD_TRY_ASSIGN(auto const verified, migration.verify());
    MALLARD_TRY_ASSIGN(auto const meanwhile, migration.pass());
    if (meanwhile > 0) return still_used(written);
    MALLARD_TRY(nobody_else(source));
    if (verified.problem_count > 0) return to_json(verified);
    MALLARD_TRY(migration.finish());
    return to_json(verified);
}

}  // namespace

// {"from", "to", "settings": [assignments], "lock", "finish", "compared"} -> what was verified; sends
// {"progress", "what"}, and {"compared"} for each mailbox when the source goes on being served.
Result<Json> migrate_store(Core& core, Json const& request, Channel& channel) {
    static std::mutex one_at_a_time;
    std::unique_lock const alone(one_at_a_time, std::try_to_lock);
    if (!alone) return fail(ErrorKind::conflict, "a migration is already running");
    std::string const from = request.at("from"), to = request.at("to");
    if (core.store->name() != from)
        return fail(ErrorKind::conflict,
                    fmt::format("the running server serves from {}, not from {}", core.store->name(), from));
    MALLARD_TRY_ASSIGN(auto const target, open_target(core, request));
    Reporter reporter(channel);
    migrate::Migration migration(side_of(*core.store), side_of(*target.engine), core.clock, {.from = from, .to = to},
                                 std::ref(reporter));
    migration.compared() = compared_from(request.value("compared", Json::array()));
    MALLARD_TRY(migration.begin());
    MALLARD_TRY_ASSIGN(auto const secret, core.store->access_secret());
    MALLARD_TRY(target.engine->adopt_secret(secret));
    return request.value("finish", false) ? copy_the_rest(migration, *core.store, *target.engine)
                                          : copy_online(migration, channel);
}

Result<Json> migrate_abandon(Core& core, Json const&, Channel&) {
    MALLARD_TRY(migrate::abandon(core.store->documents()));
    return Json::object();
}

// As SIGTERM: commands in flight finish. Who shares a store has other processes beside it, which would go on.
Result<Json> serve_stop(Core& core, Json const&, Channel&) {
    if (core.store->is_shared()) return fail(ErrorKind::not_supported, "a server of a shared store is stopped by hand");
    ::kill(::getpid(), SIGTERM);
    return Json::object();
}

}  // namespace mallard::app
