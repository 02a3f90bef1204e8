#include "transcripts/world.hpp"

#include <fmt/format.h>

#include <stdexcept>

#include "base/encoding.hpp"

namespace mallard::transcripts {

namespace {

template <class T>
T must(Result<T> result) {
    if (!result) throw std::runtime_error(result.error().message + " (" + result.error().context + ')');
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

std::string flag_text(store::MailboxIndex const& index, store::Row const& row) {
    std::string out;
    store::Flags const flags = index.flags(row);
    for (auto name : store::system_flag_names(flags.system)) out += (out.empty() ? "" : " ") + std::string(name);
    for (auto const& name : flags.keywords) out += (out.empty() ? "" : " ") + name;
    return out.empty() ? "-" : out;
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
    std::vector<std::string> words;
    for (std::string_view rest = trim(text); !rest.empty();) {
        std::size_t const end = std::min(rest.find(' '), rest.size());
        words.emplace_back(rest.substr(0, end));
        rest = trim(rest.substr(end));
    }
    return words;
}

std::string_view after_words(std::string_view text, int words) {
    text = trim(text);
    for (; words > 0; --words) text = trim(text.substr(std::min(text.find(' '), text.size())));
    return text;
}

std::string unescape(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        char const c = text[++i];
        out += c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c;
    }
    return out;
}

World::World() {
    store = engines::open_test_engine(clock);
    accounts::AccountsConfig config;
    config.pbkdf2_iterations = 1000;
    config.email_domain = "example.com";
    accounts.emplace(store->documents(), store->state(), store->mail(), store->events(), clock, config);
    must(accounts->open());
    mailboxes.emplace(store->mail(), *accounts, clock);
}

UserId World::user(std::string_view name) {
    auto const found = must(accounts->resolve(name, false));
    if (!found || !found->user) throw std::runtime_error("no such user in the transcript: " + std::string(name));
    return *found->user;
}

std::string World::add_user(std::vector<std::string> const& words) {
    accounts::NewUser fresh;
    fresh.username = words[1];
    fresh.address = words[1];
    fresh.password = words[2];
    accounts::UserPatch patch;
    for (std::size_t i = 3; i < words.size(); ++i) {
        std::string_view const word = words[i];
        if (word.starts_with("quota="))
            fresh.limits.quota = std::stoll(words[i].substr(6));
        else if (word.starts_with("pop3MaxMessages="))
            fresh.limits.pop3_max_messages = std::stoll(words[i].substr(16));
        else if (word == "disabled")
            patch.disabled = true;
        else if (word == "suspended")
            patch.suspended = true;
        else
            return "unknown word: " + words[i];
    }
    auto const made = must(accounts->create(fresh));
    if (patch.disabled || patch.suspended) must(accounts->update(made.id, patch));
    return {};
}

std::string World::add_message(std::string_view text) {
    auto const words = split_words(text);
    UserId const owner = user(words.at(1));
    auto const mailbox = must(mailboxes->find(owner, words.at(2)));
    std::string const source = unescape(after_words(text, 3));
    must(mailboxes->append({.user = owner, .mailbox = mailbox.id, .source = source}));
    return {};
}

std::string World::prepare(std::string_view text) {
    auto const words = split_words(text);
    if (words.size() >= 3 && words[0] == "user") return add_user(words);
    if (words.size() >= 3 && words[0] == "message") return add_message(text);
    if (words.size() == 3 && words[0] == "address") {
        must(accounts->add_address(user(words[1]), words[2], "", {}, "", "", false, true));
        return {};
    }
    return "unknown words: " + std::string(text);
}

Result<std::string> World::body(MailboxId mailbox, store::Row const& row) {
    MALLARD_TRY_ASSIGN(auto reader, store->mail().body(mailbox, row));
    std::string out;
    MALLARD_TRY(reader->read(0, reader->size(), out));
    return out;
}

std::string World::check(std::string_view text) {
    auto const words = split_words(text);
    if (words.size() < 4) return "unknown words: " + std::string(text);
    auto const mailbox = must(mailboxes->find(user(words[1]), words[2]));
    auto const index = must(mailboxes->snapshot(mailbox.id));
    auto const number = static_cast<std::uint32_t>(std::stoul(words[3]));
    if (words[0] == "mailbox")
        return index->size() == number ? "" : fmt::format("{} has {} messages", words[2], index->size());
    if (number < 1 || number > index->size()) return fmt::format("{} has only {} messages", words[2], index->size());
    store::Row const& row = index->row(number - 1);
    if (words[0] == "flags") {
        std::string const is = flag_text(*index, row);
        return is == after_words(text, 4) ? "" : "the flags are " + is;
    }
    if (words[0] == "text") {
        std::string const bytes = must(body(mailbox.id, row));
        return bytes.contains(unescape(after_words(text, 4))) ? "" : "the message is " + bytes;
    }
    return "unknown words: " + std::string(text);
}

}  // namespace mallard::transcripts
