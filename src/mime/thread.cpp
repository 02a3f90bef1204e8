// Threads (storage.md §11.4): what messages of one conversation share.
#include <algorithm>

#include "base/encoding.hpp"
#include "mime/fields.hpp"
#include "mime/summary.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t refs_max = 10;
constexpr std::size_t thread_index_length = 22;  // the root of a conversation in Outlook's Thread-Index

void add_ref(std::vector<std::string>& refs, std::string_view id) {
    std::string clean(trim(id));
    std::erase_if(clean, [](char c) { return c == '<' || c == '>'; });
    if (clean.empty() || refs.size() >= refs_max) return;
    std::string hash = base64_encode(sha1(clean), false);
    if (std::ranges::find(refs, hash) == refs.end()) refs.push_back(std::move(hash));
}

// Removes one reply prefix ("Re:", "Fwd :") or list tag in front.
bool cut_front(std::string_view& subject) {
    for (std::string_view prefix : {"re", "fwd", "fw"}) {
        if (!iequals(subject.substr(0, prefix.size()), prefix)) continue;
        std::size_t const colon = subject.find_first_not_of(" \t", prefix.size());
        if (colon == std::string_view::npos || subject[colon] != ':') continue;
        subject = trim(subject.substr(colon + 1));
        return true;
    }
    if (!subject.starts_with('[')) return false;
    std::size_t const close = subject.find(']');
    if (close == std::string_view::npos || close + 1 >= subject.size()) return false;
    if (subject[close + 1] != ' ' && subject[close + 1] != '\t') return false;
    std::string_view const rest = trim(subject.substr(close + 1));
    if (rest.empty()) return false;
    subject = rest;
    return true;
}

}  // namespace

std::vector<std::string> thread_refs(Entity const& message, std::string_view) {
    auto last = [&](std::string_view name) {
        auto const value = message.last_field(name);
        return value ? unfold(*value) : std::string();
    };
    std::vector<std::string> refs;
    add_ref(refs, last("message-id"));
    add_ref(refs, last("in-reply-to"));
    add_ref(refs, last("thread-index").substr(0, thread_index_length));
    std::string const references = last("references");
    for (std::size_t at = 0; at < references.size() && refs.size() < refs_max;) {
        std::size_t const end = std::min(references.find_first_of(" \t", at), references.size());
        add_ref(refs, std::string_view(references).substr(at, end - at));
        at = end + 1;
    }
    return refs;
}

std::string thread_subject(std::string_view subject) {
    constexpr std::string_view forwarded = "(fwd)";
    std::string_view rest = trim(subject);
    while (true) {
        if (cut_front(rest)) continue;
        if (rest.size() < forwarded.size() || !iequals(rest.substr(rest.size() - forwarded.size()), forwarded)) break;
        rest = trim(rest.substr(0, rest.size() - forwarded.size()));
    }
    return std::string(rest);
}

}  // namespace mallard::mime
