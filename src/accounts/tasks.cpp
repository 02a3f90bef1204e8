// What waits to be done for users (storage.md §4.15), in WildDuck's documents: whichever server is first does it.
//
// A task is claimed by a conditional update and is gone when it is done. One that failed is tried again a minute later;
// one whose server died is free again when its lock has run out. So each may be done twice, or half and again.

#include "accounts/accounts_impl.hpp"
#include "accounts/entities.hpp"
#include "accounts/paging.hpp"
#include "base/log.hpp"
#include "base/random.hpp"

namespace mallard::accounts {

using bson::Date;
using bson::Document;

namespace {

constexpr std::size_t tasks_max = 10'000;
constexpr TimeMs lock_for = 10LL * 60 * 1000;  // then who claimed it is taken for dead
constexpr TimeMs renewed_after = lock_for / 10;
constexpr TimeMs retried_after = 60LL * 1000;

std::optional<UserId> user_of(Document const& task) {
    auto const* data = task.document("data");
    auto const user = data ? data->id("user") : task.id("user");  // of old without `data`
    return user ? std::optional(UserId(*user)) : std::nullopt;
}

// A task that is ours as long as this lives, if `taken`.
class Claim {
public:
    Claim(store::Documents& documents, Clock const& clock, Document const& task)
        : documents_(documents), clock_(clock), id_(task.id("_id").value()) {
        taken = change({{"locked", mine_}, {"lockedUntil", Date{until()}}, {"status", "active"}},
                       {{"locked", task_value(task, "locked")}, {"lockedUntil", task_value(task, "lockedUntil")}});
    }
    bool taken = false;

    void renew() {
        if (clock_.now() < renewed_at_ + renewed_after) return;
        (void)change({{"lockedUntil", Date{until()}}}, {{"locked", mine_}});
    }
    void put_off() {
        (void)change({{"locked", true}, {"lockedUntil", Date{clock_.now() + retried_after}}}, {{"locked", mine_}});
    }
    Result<bool> finish() { return documents_.erase(tasks_collection(), id_); }

private:
    using Fields = std::vector<std::pair<std::string, bson::Value>>;
    bool change(Fields set, Fields expect) {
        return documents_.update(tasks_collection(), id_, {.set = std::move(set), .expect = std::move(expect)})
            .has_value();
    }
    TimeMs until() {
        renewed_at_ = clock_.now();
        return renewed_at_ + lock_for;
    }

    store::Documents& documents_;
    Clock const& clock_;
    ObjectId const id_;
    bson::Value const mine_ = bson::Binary{random_hex(6)};
    TimeMs renewed_at_ = 0;
};

bool is_known(std::string_view name) { return name == user_deletion_task || name == quota_task; }

}  // namespace

bson::Value task_value(Document const& task, std::string_view field) {
    auto const* value = task.find(field);
    return value ? *value : bson::Value();
}

Result<ObjectId> Accounts::schedule_recount() {
    auto const id = ObjectId::generate();
    MALLARD_TRY(impl_->add_task(id, quota_task, {}, impl_->clock.now()));
    return id;
}

Result<void> Accounts::Impl::add_task(ObjectId id, std::string_view name, Document data, TimeMs when) {
    TimeMs const now = clock.now();
    bool const is_later = when > now;
    auto const added = documents.insert(tasks_collection(), {{"_id", id},
                                                             {"task", name},
                                                             {"data", std::move(data)},
                                                             {"locked", is_later},
                                                             {"lockedUntil", Date{is_later ? when : now}},
                                                             {"status", is_later ? "delayed" : "waiting"},
                                                             {"created", Date{now}}});
    // Another process has begun with it before we knew that it was there.
    if (!added && added.error().kind != ErrorKind::already_exists) return std::unexpected(added.error());
    return {};
}

Result<void> Accounts::Impl::recount_all(std::function<void()> const& still_here) {
    return for_each(documents, users_collection(), {.key = "_id"}, [&](Document const& user) {
        still_here();
        return mail.recount_storage(UserId(user.id("_id").value()));
    });
}

// False: somebody else was faster, or it was cancelled.
Result<bool> Accounts::Impl::run_task(Accounts& accounts, Document const& task) {
    Claim claim(documents, clock, task);
    if (!claim.taken) return false;
    auto const user = user_of(task);
    auto const work = [&]() -> Result<void> {
        if (task.text("task") == quota_task) return recount_all([&] { claim.renew(); });
        if (!user) return {};
        MALLARD_TRY_ASSIGN(auto const deleted, documents.get(deleted_users_collection(), *user));
        return deleted ? accounts.erase(*user) : Result<void>();
    };
    if (auto const done = work(); !done) {
        claim.put_off();
        return std::unexpected(done.error());
    }
    MALLARD_TRY(claim.finish());
    log(LogLevel::info, {.component = "tasks", .session = {}, .user = user ? user->hex() : "", .address = {}},
        "[TASKOK] " + std::string(task.text("task")));
    return true;
}

Result<std::size_t> Accounts::run_due_tasks() {
    auto& self = *impl_;
    auto const find = [&](store::Query query) { return self.documents.find(tasks_collection(), query); };
    MALLARD_TRY_ASSIGN(auto due, find({.index = "task", .equals = {false}, .limit = tasks_max}));
    MALLARD_TRY_ASSIGN(auto const delayed,
                       find({.index = "task", .equals = {true}, .to = Date{self.clock.now() + 1}, .limit = tasks_max}));
    due.insert(due.end(), delayed.begin(), delayed.end());
    std::size_t done = 0;
    std::optional<Error> failed;  // of one task: the others go on
    for (auto const& task : due) {
        if (!is_known(task.text("task"))) continue;
        auto const ran = self.run_task(*this, task);
        if (!ran) failed = ran.error();
        done += ran && *ran;
    }
    if (failed) return std::unexpected(*failed);
    return done;
}

Result<void> Accounts::release_dead_tasks() {
    auto& self = *impl_;
    for (auto const name : {user_deletion_task, quota_task}) {
        MALLARD_TRY_ASSIGN(
            auto const tasks,
            self.documents.find(tasks_collection(), {.index = "task_data_user", .equals = {name}, .limit = tasks_max}));
        for (auto const& task : tasks) {
            auto const locked = task_value(task, "locked");
            if (locked.as<bool>() != nullptr || task.date("lockedUntil").value_or(0) > self.clock.now()) continue;
            auto const released = self.documents.update(
                tasks_collection(), task.id("_id").value(),
                {.set = {{"locked", false}, {"status", "waiting"}}, .expect = {{"locked", locked}}});
            bool const is_gone = !released && (released.error().kind == ErrorKind::conflict ||
                                               released.error().kind == ErrorKind::not_found);
            if (!released && !is_gone) return std::unexpected(released.error());
        }
    }
    return {};
}

}  // namespace mallard::accounts
