#include "migrate/migration.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "migrate/mark.hpp"
#include "migrate/mirror_documents.hpp"
#include "migrate/mirror_state.hpp"

namespace mallard::migrate {

namespace {

Result<std::vector<UserId>> ids_of(store::Documents const& documents, store::Collection const& collection) {
    std::vector<UserId> ids;
    std::optional<ObjectId> after;
    while (true) {
        constexpr std::size_t page = 1'000;
        MALLARD_TRY_ASSIGN(auto const found, documents.find(collection, {.after_id = after, .limit = page}));
        if (found.empty()) return ids;
        for (auto const& user : found)
            if (auto const id = user.id("_id")) ids.emplace_back(*id);
        after = found.back().id("_id");
    }
}

}  // namespace

Migration::Migration(Side from, Side to, Clock const& clock, MigrationConfig config, Progress progress)
    : from_(from),
      to_(to),
      clock_(clock),
      config_(std::move(config)),
      mirror_(from, to, [this](std::uint64_t messages) { return step(messages); }),
      progress_(std::move(progress)) {}

void Migration::start(std::string_view what, std::uint64_t total) {
    std::lock_guard const lock(progress_mutex_);
    what_ = what;
    done_ = 0;
    total_ = total;
}

bool Migration::step(std::uint64_t by) {
    std::lock_guard const lock(progress_mutex_);
    done_ += by;
    total_ = std::max(total_, done_);
    return !progress_ || progress_(what_, done_, total_);
}

Result<void> Migration::begin() {
    MALLARD_TRY_ASSIGN(auto const source, read_mark(from_.documents));
    MALLARD_TRY_ASSIGN(auto const target, read_mark(to_.documents));
    bool const ours = target && target->state == Mark::State::arriving && target->other == config_.from;
    if (source && source->state == Mark::State::arriving)
        return fail(ErrorKind::conflict,
                    "the store to move from is itself only partly there: " + why_not_served(*source));
    if (source && !ours)
        return fail(ErrorKind::conflict, fmt::format("the store to move from was already moved to {}; run `mallard "
                                                     "migrate --abandon` to move this old copy again",
                                                     source->other));
    if (ours) return {};
    std::uint64_t there = 0;
    for (auto const& people : people_of(from_)) {
        MALLARD_TRY(to_.documents.declare(people));
        MALLARD_TRY_ASSIGN(auto const some, to_.documents.count(people, {}));
        there += some;
    }
    if (target || there > 0)
        return fail(ErrorKind::conflict,
                    fmt::format("the store to move to is in use ({} users): migrate fills an empty one, so that "
                                "nothing is overwritten",
                                there));
    return write_mark(to_.documents, {.state = Mark::State::arriving, .other = config_.from, .time = clock_.now()});
}

// All who have mail in the source, sorted.
Result<std::vector<UserId>> Migration::users() {
    std::vector<UserId> all;
    for (auto const& people : people_of(from_)) {
        MALLARD_TRY_ASSIGN(auto const some, ids_of(from_.documents, people));
        all.insert(all.end(), some.begin(), some.end());
    }
    std::ranges::sort(all);
    auto const [first, last] = std::ranges::unique(all);
    all.erase(first, last);
    return all;
}

// The mail of those who are not in the source any more.
Result<std::uint64_t> Migration::remove_users() {
    MALLARD_TRY_ASSIGN(auto const staying, users());
    std::uint64_t removed = 0;
    for (auto const& people : people_of(from_)) {
        MALLARD_TRY(to_.documents.declare(people));
        MALLARD_TRY_ASSIGN(auto const there, ids_of(to_.documents, people));
        for (UserId const id : there) {
            if (std::ranges::binary_search(staying, id)) continue;
            ++removed;
            MALLARD_TRY(to_.mail.delete_user(id));
        }
    }
    return removed;
}

Result<void> Migration::for_each_user(std::vector<UserId> const& users,
                                      std::function<Result<void>(UserId)> const& visit) const {
    std::atomic<std::size_t> next = 0;
    std::mutex mutex;
    std::optional<Error> failed;
    auto const work = [&] {
        while (true) {
            std::size_t const n = next++;
            if (n >= users.size()) return;
            auto const done = visit(users[n]);
            if (done) continue;
            std::lock_guard const lock(mutex);
            if (!failed) failed = done.error();
            next = users.size();
        }
    };
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 1; i < std::min<std::size_t>(config_.threads, users.size()); ++i) threads.emplace_back(work);
        work();
    }
    if (failed) return std::unexpected(*failed);
    return {};
}

Result<std::uint64_t> Migration::count_messages(std::vector<UserId> const& users) {
    std::atomic<std::uint64_t> messages = 0;
    MALLARD_TRY(for_each_user(users, [&](UserId user) -> Result<void> {
        MALLARD_TRY_ASSIGN(auto const mailboxes, from_.mail.mailboxes(user));
        for (auto const& info : mailboxes)
            if (auto const snapshot = from_.mail.snapshot(info.id)) messages += (*snapshot)->size();
        return {};
    }));
    return messages.load();
}

Result<std::uint64_t> Migration::pass() {
    std::atomic<std::uint64_t> changes = 0;
    MALLARD_TRY_ASSIGN(auto const removed, remove_users());
    changes += removed;
    start("Copying accounts", 0);
    MALLARD_TRY_ASSIGN(auto const documents, mirror_documents(from_, to_, [this] { return step(1); }));
    MALLARD_TRY_ASSIGN(auto const entries, mirror_state(from_, to_));
    changes += documents + entries;
    MALLARD_TRY_ASSIGN(auto const all, users());
    if (!counted_) {
        MALLARD_TRY_ASSIGN(messages_, count_messages(all));
        counted_ = true;
        start("Copying messages", messages_);
    } else {
        start("Following changes", 0);
    }
    MALLARD_TRY(for_each_user(all, [&](UserId user) -> Result<void> {
        MALLARD_TRY_ASSIGN(auto const differed, mirror_.mirror_user(user));
        changes += differed;
        return {};
    }));
    return changes.load();
}

Result<Verified> Migration::verify_contents() {
    MALLARD_TRY_ASSIGN(auto const all, users());
    start("Verifying", messages_);
    Verifier verifier(from_, to_, compared_, [this](std::uint64_t messages) { return step(messages); });
    MALLARD_TRY(for_each_user(all, [&](UserId user) { return verifier.contents_of(user); }));
    return verifier.take();
}

Result<Verified> Migration::verify() {
    MALLARD_TRY_ASSIGN(auto const all, users());
    start("Verifying", 0);
    Verifier verifier(from_, to_, compared_, [this](std::uint64_t messages) { return step(messages); });
    MALLARD_TRY(verifier.documents_and_state());
    MALLARD_TRY(for_each_user(all, [&](UserId user) { return verifier.everything_of(user); }));
    return verifier.take();
}

Result<void> Migration::finish() {
    // In this order: at no time may both be served.
    MALLARD_TRY(write_mark(from_.documents, {.state = Mark::State::moved, .other = config_.to, .time = clock_.now()}));
    return erase_mark(to_.documents);
}

Result<void> abandon(store::Documents& documents) { return erase_mark(documents); }

}  // namespace mallard::migrate
