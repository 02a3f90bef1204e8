#include "imap/command_table.hpp"

#include <algorithm>
#include <array>

#include "base/encoding.hpp"

namespace mallard::imap {

namespace {

constexpr unsigned before = static_cast<unsigned>(State::not_authenticated);
constexpr unsigned auth = static_cast<unsigned>(State::authenticated);
constexpr unsigned sel = static_cast<unsigned>(State::selected);
constexpr unsigned inside = auth | sel;
constexpr unsigned any = before | inside;
constexpr std::size_t many = 100'000;  // the grammar bounds them

constexpr auto keeps = Notices::without_expunge;

// protocols.md §1.5, in the order of RFC 9051 §6. Sorted look-up is not worth it: `metrics_of` indexes this array.
constexpr CommandSpec commands[] = {
    {"CAPABILITY", any, 0, 0, Notices::all, Place::network, cmd_capability},
    {"NOOP", any, 0, 0, Notices::all, Place::network, cmd_noop},
    {"LOGOUT", any, 0, 0, Notices::none, Place::network, cmd_logout},
    {"ID", any, 1, 1, Notices::all, Place::commands, cmd_id},
    {"STARTTLS", any, 0, 0, Notices::none, Place::network, cmd_starttls},
    {"LOGIN", before, 2, 2, Notices::none, Place::long_work, cmd_login},
    {"AUTHENTICATE PLAIN", before, 1, 1, Notices::none, Place::long_work, cmd_authenticate},
    {"AUTHENTICATE PLAIN-CLIENTTOKEN", before, 1, 1, Notices::none, Place::long_work, cmd_authenticate},
    {"ENABLE", auth, 1, many, Notices::all, Place::commands, cmd_enable},
    {"SELECT", inside, 1, 2, Notices::none, Place::commands, cmd_select},
    {"EXAMINE", inside, 1, 2, Notices::none, Place::commands, cmd_select},
    {"CREATE", inside, 1, 1, Notices::all, Place::commands, cmd_create},
    {"DELETE", inside, 1, 1, Notices::all, Place::commands, cmd_delete},
    {"RENAME", inside, 2, 2, Notices::all, Place::commands, cmd_rename},
    {"SUBSCRIBE", inside, 1, 1, Notices::all, Place::commands, cmd_subscribe},
    {"UNSUBSCRIBE", inside, 1, 1, Notices::all, Place::commands, cmd_subscribe},
    {"LIST", inside, 2, 5, Notices::all, Place::commands, cmd_list},
    {"XLIST", inside, 2, 5, Notices::all, Place::commands, cmd_list},
    {"LSUB", inside, 2, 2, Notices::all, Place::commands, cmd_lsub},
    {"NAMESPACE", inside, 0, 0, Notices::all, Place::network, cmd_namespace},
    {"STATUS", inside, 2, 2, Notices::all, Place::attempt, cmd_status},
    {"APPEND", inside, 2, 6, Notices::all, Place::commands, cmd_append},
    {"IDLE", inside, 0, 0, Notices::all, Place::commands},
    {"GETQUOTA", inside, 1, 1, Notices::all, Place::commands, cmd_getquota},
    {"GETQUOTAROOT", inside, 1, 1, Notices::all, Place::commands, cmd_getquotaroot},
    {"SETQUOTA", inside, 2, 2, Notices::all, Place::commands, cmd_setquota},
    {"CHECK", sel, 0, 0, Notices::all, Place::network, cmd_check},
    {"CLOSE", sel, 0, 0, Notices::none, Place::commands, cmd_close},
    {"UNSELECT", sel, 0, 0, Notices::none, Place::commands, cmd_close},
    {"EXPUNGE", sel, 0, 0, Notices::all, Place::commands, cmd_expunge},
    {"UID EXPUNGE", sel, 1, 1, Notices::all, Place::commands, cmd_expunge},
    {"SEARCH", sel, 1, many, keeps, Place::attempt, cmd_search},
    {"UID SEARCH", sel, 1, many, Notices::all, Place::attempt, cmd_search},
    {"FETCH", sel, 2, 3, keeps, Place::attempt, nullptr, cmd_fetch},
    {"UID FETCH", sel, 2, 3, keeps, Place::attempt, nullptr, cmd_fetch},
    {"STORE", sel, 3, many, keeps, Place::attempt, nullptr, cmd_store},
    {"UID STORE", sel, 3, many, Notices::all, Place::attempt, nullptr, cmd_store},
    {"COPY", sel, 2, 2, Notices::all, Place::commands, cmd_copy},
    {"UID COPY", sel, 2, 2, Notices::all, Place::commands, cmd_copy},
    {"MOVE", sel, 2, 2, Notices::all, Place::commands, cmd_move},
    {"UID MOVE", sel, 2, 2, Notices::all, Place::commands, cmd_move},
};

constexpr std::size_t command_count = std::size(commands);

using MetricsTable = std::array<std::array<CommandMetrics, 3>, command_count + 1>;

MetricsTable make_metrics() {
    MetricsTable table;
    constexpr std::string_view results[] = {"ok", "no", "bad"};
    for (std::size_t i = 0; i <= command_count; ++i) {
        std::string label = i < command_count ? to_lower(commands[i].name) : "other";
        std::ranges::replace(label, ' ', '_');
        for (std::size_t r = 0; r < 3; ++r)
            table[i][r] = {
                &metrics::counter("wildduck_imap_commands_total", {{"command", label}, {"result", results[r]}}),
                &metrics::histogram("wildduck_imap_command_duration_seconds", metrics::Buckets::commands,
                                    {{"command", label}, {"result", results[r]}})};
    }
    return table;
}

}  // namespace

CommandSpec const* find_command(std::string_view name) {
    for (CommandSpec const& spec : commands)
        if (spec.name == name) return &spec;
    return nullptr;
}

CommandMetrics& metrics_of(CommandSpec const* spec, Status status) {
    static MetricsTable table = make_metrics();
    std::size_t const row = spec == nullptr ? command_count : static_cast<std::size_t>(spec - commands);
    return table[row][static_cast<std::size_t>(status)];
}

}  // namespace mallard::imap
