// LIST, XLIST, LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 6154; protocols.md §1.9).

#include <fmt/format.h>

#include <set>

#include "base/encoding.hpp"
#include "imap/command_table.hpp"
#include "imap_proto/list.hpp"
#include "imap_proto/output.hpp"

namespace mallard::imap {

namespace {

struct Entry {
    std::string path;
    std::string special_use;
    bool exists = true;  // false: a missing parent
    bool subscribed = false;
    bool has_children = false;
};

// The visible folders in order, parents before children; INBOX always.
std::vector<Entry> folders(std::vector<store::MailboxInfo> const& infos, bool with_missing_parents) {
    std::vector<Entry> out;
    std::set<std::string> known;
    auto add = [&](Entry entry) {
        known.insert(entry.path);
        out.push_back(std::move(entry));
    };
    for (auto const& info : infos) {
        if (info.hidden) continue;
        for (std::size_t slash = info.path.find('/'); with_missing_parents && slash != std::string::npos;
             slash = info.path.find('/', slash + 1)) {
            std::string parent = info.path.substr(0, slash);
            if (!known.contains(parent)) add({std::move(parent), {}, false, false, true});
        }
        add({info.path, info.special_use, true, info.subscribed || info.path == "INBOX", false});
    }
    // '/' sorts below all else, so a folder's first child follows it at once; without the invented parents it may lie
    // deeper, but not behind another branch.
    for (std::size_t i = 0; i + 1 < out.size(); ++i)
        out[i].has_children = out[i].has_children || out[i + 1].path.starts_with(out[i].path + '/');
    return out;
}

// Reference and pattern joined, and normalised as a name is: one '/' cut at either end, INBOX in any case.
std::optional<std::string> full_pattern(Session const& session, std::string_view reference, std::string_view pattern) {
    auto path = session.path(std::string(reference) + std::string(pattern));
    if (!path) return std::nullopt;
    if (path->starts_with('/')) path->erase(0, 1);
    if (path->ends_with('/')) path->pop_back();
    std::size_t const level = std::min(path->find('/'), path->size());
    if (iequals(std::string_view(*path).substr(0, level), "INBOX")) path->replace(0, level, "INBOX");
    return path;
}

std::string_view xlist_name(std::string_view special_use) {
    if (special_use == "\\Junk") return "\\Spam";
    if (special_use == "\\Flagged") return "\\Starred";
    return special_use;
}

void append_line(std::string& out, std::string_view command, std::string_view flags, std::string_view path, bool utf8) {
    out += fmt::format("* {} ({}) \"/\" ", command, flags);
    imap_proto::append_mailbox(out, path, utf8);
    out += "\r\n";
}

std::string flags_of(Entry const& entry, imap_proto::ListRequest const& request, bool xlist) {
    std::string_view const special = xlist ? xlist_name(entry.special_use) : entry.special_use;
    if (request.return_special_use) return std::string(special);
    std::string flags = !entry.exists        ? "\\Noselect \\HasChildren"
                        : entry.has_children ? "\\HasChildren"
                                             : "\\HasNoChildren";
    if (!special.empty()) flags += fmt::format(" {}", special);
    if (xlist && entry.path == "INBOX") flags += " \\Inbox";
    return flags;
}

}  // namespace

Outcome cmd_list(Session& session, Request& request, std::string& out) {
    std::string const& name = request.command.name;
    auto const list = imap_proto::parse_list(request.arguments(), name);
    if (!list) return bad(list.error().message);
    if (list->patterns.size() == 1 && list->patterns[0].empty()) {  // asks for the delimiter
        out += fmt::format("* {} (\\Noselect) \"/\" \"/\"\r\n", name);
        return ok();
    }
    auto const infos = session.services().mailboxes.list(session.user());
    if (!infos) return no(infos.error());
    std::vector<std::string> patterns;
    for (std::string const& pattern : list->patterns)
        if (auto full = full_pattern(session, list->reference, pattern)) patterns.push_back(std::move(*full));

    bool const xlist = name == "XLIST";
    for (Entry const& entry : folders(*infos, true)) {
        if (list->select_special_use && entry.special_use.empty()) continue;
        bool matches = false;
        for (std::string const& pattern : patterns) matches = matches || imap_proto::list_match(pattern, entry.path);
        if (!matches || (list->return_special_use && !entry.exists)) continue;
        append_line(out, name, flags_of(entry, *list, xlist), xlist && entry.path == "INBOX" ? "Inbox" : entry.path,
                    session.utf8());
    }
    return ok();
}

// Deviation: RFC 3501 §6.3.9 has `%` report the unsubscribed parent of a subscribed folder; WildDuck does not.
Outcome cmd_lsub(Session& session, Request& request, std::string& out) {
    auto const reference = request.arguments()[0].string_value();
    auto const pattern = request.arguments()[1].string_value();
    if (!reference || !pattern) return bad("Invalid argument provided for LSUB");
    if (pattern->empty()) {
        out += "* LSUB (\\Noselect) \"/\" \"/\"\r\n";
        return ok();
    }
    auto const infos = session.services().mailboxes.list(session.user());
    if (!infos) return no(infos.error());
    auto const full = full_pattern(session, *reference, *pattern);
    if (!full) return ok();
    for (Entry const& entry : folders(*infos, false)) {
        if (!entry.subscribed || !imap_proto::list_match(*full, entry.path)) continue;
        append_line(out, "LSUB", entry.has_children ? "\\HasChildren" : "\\HasNoChildren", entry.path, session.utf8());
    }
    return ok();
}

}  // namespace mallard::imap
