#include "mailboxes/mailboxes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/metrics.hpp"
#include "mailboxes/sealing.hpp"
#include "mime/message.hpp"

namespace mallard::mailboxes {

namespace {

constexpr std::string_view inbox = "INBOX";

std::string_view label_of(Source source) {  // protocols.md §10
    switch (source) {
        case Source::imap: return "imap";
        case Source::lmtp: return "lmtp";
        case Source::api: return "api";
        case Source::import_: return "task";
        case Source::submission: return "smtp";
    }
    return "unknown";
}

struct AppendMetrics {
    metrics::Counter& success;
    metrics::Counter& failure;
    metrics::Histogram& seconds;
    metrics::Histogram& bytes;
};

AppendMetrics make_append_metrics(Source source) {
    std::string_view label = label_of(source);
    constexpr auto name = "wildduck_message_operations_total";
    return {metrics::counter(name, {{"operation", "add"}, {"source", label}, {"result", "success"}}),
            metrics::counter(name, {{"operation", "add"}, {"source", label}, {"result", "error"}}),
            metrics::histogram("wildduck_message_operation_duration_seconds", metrics::Buckets::messages,
                               {{"operation", "add"}, {"source", label}, {"result", "success"}}),
            metrics::histogram("wildduck_message_size_bytes", metrics::Buckets::sizes, {{"source", label}})};
}

AppendMetrics& append_metrics(Source source) {
    static std::array<AppendMetrics, 5> all{make_append_metrics(Source::imap), make_append_metrics(Source::lmtp),
                                            make_append_metrics(Source::api), make_append_metrics(Source::import_),
                                            make_append_metrics(Source::submission)};
    return all[static_cast<std::size_t>(source)];
}

// INBOX and what is below it first, then by name, parents before children: '/' sorts below every other character.
bool before(store::MailboxInfo const& a, store::MailboxInfo const& b) {
    auto in_inbox = [](std::string_view path) {
        return path.starts_with(inbox) && (path.size() == inbox.size() || path[inbox.size()] == '/');
    };
    if (bool x = in_inbox(a.path), y = in_inbox(b.path); x != y) return x;
    return std::ranges::lexicographical_compare(a.path, b.path, [](unsigned char x, unsigned char y) {
        return (x == '/' ? 0 : static_cast<int>(x)) < (y == '/' ? 0 : static_cast<int>(y));
    });
}

Error no_mailbox() { return {ErrorKind::not_found, "There is no such folder", {}}; }

Error too_large(std::uint64_t size, std::uint64_t most) {
    return {ErrorKind::too_large, fmt::format("The message has {} bytes; at most {} are accepted", size, most), {}};
}

}  // namespace

struct Mailboxes::Impl {
    store::MailStore& store;
    accounts::Accounts& accounts;
    Clock const& clock;
    Policy policy;

    // One mailbox with everything below it, oldest path first.
    struct Renaming {
        MailboxId id;
        std::string from, to;
    };
    Result<std::vector<Renaming>> plan_rename(store::MailboxInfo const& mailbox, std::string const& path,
                                              bool with_children) const;
    Result<void> carry_out(std::vector<Renaming> const& plan);
    Result<std::string> check_rename(store::MailboxInfo const& mailbox, std::string_view path) const;

    Result<std::optional<Spool>> encrypted(AppendRequest const& request, accounts::User const& account,
                                           mime::Entity const& tree) const;
    Result<std::optional<encryption::Owner>> owner_of_copies(UserId user, MailboxId to) const;
};

Mailboxes::Mailboxes(store::MailStore& store, accounts::Accounts& accounts, Clock const& clock, Policy policy)
    : impl_(new Impl{store, accounts, clock, policy}) {}

Mailboxes::~Mailboxes() = default;

store::MailStore& Mailboxes::store() { return impl_->store; }

Policy const& Mailboxes::policy() const { return impl_->policy; }

Result<std::vector<store::MailboxInfo>> Mailboxes::list(UserId user) const {
    auto all = impl_->store.mailboxes(user);
    if (all) std::ranges::sort(*all, before);
    return all;
}

Result<store::MailboxInfo> Mailboxes::find(UserId user, std::string_view path) const {
    auto normal = normalize_path(path, impl_->policy);
    if (!normal) return std::unexpected(no_mailbox());  // a name that cannot be: nothing is there
    MALLARD_TRY_ASSIGN(auto found, impl_->store.find_mailbox(user, *normal));
    if (!found) return std::unexpected(no_mailbox());
    return std::move(*found);
}

Result<store::MailboxInfo> Mailboxes::get(UserId user, MailboxId id) const {
    MALLARD_TRY_ASSIGN(auto found, impl_->store.mailbox(id));
    if (!found || found->user != user) return std::unexpected(no_mailbox());
    return std::move(*found);
}

Result<store::MailboxInfo> Mailboxes::find_special(UserId user, std::string_view special_use) const {
    MALLARD_TRY_ASSIGN(auto all, list(user));
    for (auto& mailbox : all)
        if (mailbox.special_use == special_use) return std::move(mailbox);
    return std::unexpected(no_mailbox());
}

Result<store::MailboxInfo> Mailboxes::create(UserId user, std::string_view path, store::MailboxInfo settings) {
    MALLARD_TRY_ASSIGN(settings.path, normalize_path(path, impl_->policy));
    MALLARD_TRY_ASSIGN(auto all, impl_->store.mailboxes(user));
    if (all.size() >= impl_->policy.mailboxes_max)
        return fail(ErrorKind::limit, fmt::format("There can be at most {} folders", impl_->policy.mailboxes_max));
    if (settings.retention_ms == 0) {
        MALLARD_TRY_ASSIGN(auto const account, impl_->accounts.get(user));
        if (account) settings.retention_ms = account->retention_ms;
    }
    settings.user = user;
    settings.id = MailboxId{};
    settings.uid_validity = 0;
    return impl_->store.create_mailbox(std::move(settings));
}

Result<std::string> Mailboxes::Impl::check_rename(store::MailboxInfo const& mailbox, std::string_view path) const {
    // Deviation: RFC 9051 §6.3.6 would move INBOX's messages to the new name; WildDuck refuses, and so do we.
    if (mailbox.path == inbox) return fail(ErrorKind::denied, "INBOX can not be renamed");
    if (mailbox.hidden) return fail(ErrorKind::denied, "This folder can not be renamed");
    MALLARD_TRY_ASSIGN(std::string normal, normalize_path(path, policy));
    if (normal == inbox) return fail(ErrorKind::already_exists, "INBOX already exists");
    return normal;
}

Result<std::vector<Mailboxes::Impl::Renaming>> Mailboxes::Impl::plan_rename(store::MailboxInfo const& mailbox,
                                                                            std::string const& path,
                                                                            bool with_children) const {
    MALLARD_TRY_ASSIGN(auto all, store.mailboxes(mailbox.user));
    std::string const below = mailbox.path + '/';
    std::vector<Renaming> plan{{mailbox.id, mailbox.path, path}};
    std::vector<std::string> staying;
    for (auto const& other : all) {
        if (other.id == mailbox.id) continue;
        if (with_children && other.path.starts_with(below)) {
            MALLARD_TRY_ASSIGN(std::string to, normalize_path(path + other.path.substr(mailbox.path.size()), policy));
            plan.push_back({other.id, other.path, std::move(to)});
        } else {
            staying.push_back(other.path);
        }
    }
    std::ranges::sort(staying);
    for (auto const& step : plan)
        if (std::ranges::binary_search(staying, step.to))
            return fail(ErrorKind::already_exists, "There is already a folder with this name");
    // "a" to "a/b" while "a/b" itself moves on: the RFC has the target exist, so it is refused.
    if (std::ranges::any_of(plan, [&](Renaming const& step) { return step.from == path && step.id != mailbox.id; }))
        return fail(ErrorKind::already_exists, "There is already a folder with this name");
    // Moving down, the longest path goes first, moving up, the shortest: each new path is free when its turn comes.
    std::ranges::sort(plan, {}, [](Renaming const& step) { return step.from.size(); });
    if (path.starts_with(below)) std::ranges::reverse(plan);
    return plan;
}

// Each step is atomic; when one fails, those done are taken back, so that a tree is not left half renamed.
Result<void> Mailboxes::Impl::carry_out(std::vector<Renaming> const& plan) {
    for (std::size_t i = 0; i < plan.size(); ++i) {
        auto done = store.update_mailbox(plan[i].id, {.path = plan[i].to});
        if (done) continue;
        while (i-- > 0) static_cast<void>(store.update_mailbox(plan[i].id, {.path = plan[i].from}));
        return std::unexpected(std::move(done).error());
    }
    return {};
}

Result<store::MailboxInfo> Mailboxes::rename(UserId user, MailboxId id, std::string_view path) {
    MALLARD_TRY_ASSIGN(auto mailbox, get(user, id));
    MALLARD_TRY_ASSIGN(std::string normal, impl_->check_rename(mailbox, path));
    if (normal == mailbox.path) return fail(ErrorKind::already_exists, "The folder already has this name");
    MALLARD_TRY_ASSIGN(auto plan, impl_->plan_rename(mailbox, normal, true));
    MALLARD_TRY(impl_->carry_out(plan));
    return get(user, id);
}

Result<store::MailboxInfo> Mailboxes::update(UserId user, MailboxId id, store::MailboxPatch const& patch) {
    MALLARD_TRY_ASSIGN(auto mailbox, get(user, id));
    store::MailboxPatch checked = patch;
    if (patch.path && *patch.path != mailbox.path) {
        MALLARD_TRY_ASSIGN(checked.path, impl_->check_rename(mailbox, *patch.path));
        MALLARD_TRY(impl_->plan_rename(mailbox, *checked.path, false));
    } else {
        checked.path.reset();
    }
    if (mailbox.path == inbox && patch.hidden.value_or(false))
        return fail(ErrorKind::denied, "INBOX can not be hidden");
    return impl_->store.update_mailbox(id, checked);
}

Result<void> Mailboxes::erase(UserId user, MailboxId id) {
    MALLARD_TRY_ASSIGN(auto mailbox, get(user, id));
    if (mailbox.path == inbox) return fail(ErrorKind::denied, "INBOX can not be deleted");
    if (!mailbox.special_use.empty() || mailbox.hidden)
        return fail(ErrorKind::denied, "This folder is reserved and can not be deleted");
    return impl_->store.delete_mailbox(id);
}

Result<store::Snapshot> Mailboxes::snapshot(MailboxId id) const { return impl_->store.snapshot(id); }

// The message as it is stored; none: as it came.
Result<std::optional<Spool>> Mailboxes::Impl::encrypted(AppendRequest const& request, accounts::User const& account,
                                                        mime::Entity const& tree) const {
    if ((request.flags.system & store::draft) || !has_key(account)) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto const target, request.path.empty() ? store.mailbox(request.mailbox)
                                                               : store.find_mailbox(request.user, request.path));
    if (!target || !is_for_owner_only(account, *target, Arrival::from_outside)) return std::nullopt;
    return encrypt_for(owner_of(account), request.source, tree);
}

// Whose eyes copies into the mailbox are for; none: they are stored as they are.
Result<std::optional<encryption::Owner>> Mailboxes::Impl::owner_of_copies(UserId user, MailboxId to) const {
    MALLARD_TRY_ASSIGN(auto const account, accounts.get(user));
    if (!account || !has_key(*account)) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto const target, store.mailbox(to));
    if (!target || !is_for_owner_only(*account, *target, Arrival::from_own_mailbox)) return std::nullopt;
    return owner_of(*account);
}

Result<store::Appended> Mailboxes::append(AppendRequest const& request) {
    auto const begun = std::chrono::steady_clock::now();
    AppendMetrics& counts = append_metrics(request.via);
    auto stored = [&]() -> Result<store::Appended> {
        if (request.source.size() - request.trace_bytes > impl_->policy.message_bytes_max)
            return std::unexpected(too_large(request.source.size(), impl_->policy.message_bytes_max));
        mime::Entity parsed;
        if (!request.tree) parsed = mime::parse(request.source);
        mime::Entity const* tree = request.tree ? request.tree : &parsed;
        std::optional<accounts::User> asked;
        if (!request.account) {
            MALLARD_TRY_ASSIGN(asked, impl_->accounts.get(request.user));
        }
        accounts::User const* account = request.account ? request.account : asked ? &*asked : nullptr;
        if (!account && request.check_quota) return fail(ErrorKind::not_found, "There is no such user");

        std::string_view source = request.source;
        std::optional<Spool> encrypted;
        if (account) {
            MALLARD_TRY_ASSIGN(encrypted, impl_->encrypted(request, *account, *tree));
        }
        if (encrypted) {
            source = encrypted->view();
            parsed = mime::parse(source);
            tree = &parsed;
        }
        TimeMs const date = request.internal_date.value_or(impl_->clock.now());
        store::NewMessage message = derive(source, *tree, request.flags, date, request.meta);
        if (request.check_quota) message.storage_max = impl_->accounts.quota_of(*account);
        return request.path.empty() ? impl_->store.append(request.mailbox, std::move(message))
                                    : impl_->store.append_to(request.user, request.path, std::move(message));
    }();
    (stored ? counts.success : counts.failure).add();
    if (stored) {
        std::chrono::duration<double> const taken = std::chrono::steady_clock::now() - begun;
        metrics::observe(counts.seconds, taken.count());
        metrics::observe(counts.bytes, static_cast<double>(request.source.size()));
    }
    return stored;
}

Result<store::FlagsChanged> Mailboxes::change_flags(MailboxId id, store::UidSet const& uids,
                                                    store::FlagChange const& change) {
    return impl_->store.change_flags(id, uids, change);
}

Result<store::Copied> Mailboxes::copy(UserId user, MailboxId from, store::UidSet const& uids, MailboxId to) {
    MALLARD_TRY_ASSIGN(auto source, impl_->store.snapshot(from));
    std::int64_t bytes = 0;
    source->for_uids(uids, [&](std::uint32_t, store::Row const& row) { bytes += static_cast<std::int64_t>(row.size); });
    if (bytes > 0) {
        MALLARD_TRY_ASSIGN(std::int64_t left, quota_left(user));
        if (bytes > left) return std::unexpected(store::storage_full());
    }
    MALLARD_TRY_ASSIGN(auto const owner, impl_->owner_of_copies(user, to));
    return owner ? transfer_encrypted(impl_->store, *owner, from, uids, to, false) : impl_->store.copy(from, uids, to);
}

Result<store::Copied> Mailboxes::move(UserId user, MailboxId from, store::UidSet const& uids, MailboxId to) {
    MALLARD_TRY_ASSIGN(auto const owner, impl_->owner_of_copies(user, to));
    if (owner) return transfer_encrypted(impl_->store, *owner, from, uids, to, true);
    return impl_->store.move(from, uids, to);  // within one user the storage used stays as it is
}

Result<store::UidSet> Mailboxes::patch(MailboxId id, store::UidSet const& uids, store::MessagePatch const& patch) {
    return impl_->store.patch(id, uids, patch);
}

Result<store::UidSet> Mailboxes::expunge(MailboxId id, store::UidSet const& uids, bool only_deleted) {
    return impl_->store.expunge(id, uids, only_deleted);
}

Result<std::int64_t> Mailboxes::quota_left(UserId user) const {
    MALLARD_TRY_ASSIGN(auto account, impl_->accounts.get(user));
    if (!account) return fail(ErrorKind::not_found, "There is no such user");
    MALLARD_TRY_ASSIGN(std::int64_t used, impl_->store.storage_used(user));
    return impl_->accounts.quota_of(*account) - used;
}

}  // namespace mallard::mailboxes
