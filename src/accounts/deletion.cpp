// Users that go, and until the time of a later deletion come back (storage.md §17.3).
//
// A deletion moves the user's document to `deletedusers`, takes its addresses away, and leaves a task that erases the
// mail, at once or at that time. The order is such that what is cut off in between can be repeated, and never loses
// mail early. tasks.cpp does the task.
// Deviation: WildDuck's task keeps the messages, which nobody can reach, for 14 days more.

#include <algorithm>

#include "accounts/accounts_impl.hpp"
#include "accounts/entities.hpp"
#include "accounts/user_lock.hpp"
#include "base/log.hpp"
#include "base/random.hpp"

namespace mallard::accounts {

using bson::Array;
using bson::Date;
using bson::Document;

namespace {

constexpr std::size_t rows_max = 100'000;
constexpr TimeMs for_ever = 253'402'300'799'000;  // the end of the year 9999

std::vector<Document> kept_addresses(Document const& deleted) {
    std::vector<Document> addresses;
    auto const* info = deleted.document("deleteInfo");
    auto const* list = info ? info->array("addresses") : nullptr;
    if (list == nullptr) return addresses;
    for (auto const& value : *list)
        if (auto const* address = value.as<Document>()) addresses.push_back(*address);
    return addresses;
}

// Another server's task, or one of ours, that has a time and that nobody has begun with.
bool is_delayed(Document const& task) { return task.boolean("locked") && task.text("status") == "delayed"; }
}  // namespace

Result<std::optional<Document>> Accounts::Impl::deletion_task(UserId user) const {
    return documents.find_one(tasks_collection(), {.index = "task_data_user", .equals = {user_deletion_task, user}});
}

Result<void> Accounts::Impl::erase_all(store::Collection const& collection, std::string_view index, UserId user) {
    MALLARD_TRY_ASSIGN(auto const rows,
                       documents.find(collection, {.index = index, .equals = {user}, .limit = rows_max}));
    for (auto const& row : rows) MALLARD_TRY(documents.erase(collection, row.id("_id").value()));
    return {};
}

Result<void> Accounts::Impl::forget_state(UserId id) {
    MALLARD_TRY(erase_all(asps_collection(), "asps_user", id));
    MALLARD_TRY(erase_all(filters_collection(), "user", id));
    MALLARD_TRY(erase_all(autoreplies_collection(), "autoreply", id));
    MALLARD_TRY(erase_all(address_register_collection(), "by_address", id));
    for (auto const* key : {"pxm:", "iup:", "idw:", "pdw:", "wdr:", "wdf:", "rl:rcpt:", "auth_user:"})
        MALLARD_TRY(state.erase(key + id.hex()));
    return state.erase_member("feature:indexing", id.hex());
}

Result<void> Accounts::erase(UserId id) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const alone, UserLock::take(self.state, id));
    MALLARD_TRY_ASSIGN(auto const document, self.user_document(id));
    MALLARD_TRY_ASSIGN(auto const deleted, self.documents.get(deleted_users_collection(), id));
    if (!document && !deleted) return fail(ErrorKind::not_found, "This user does not exist");
    // Disabled first, and the user's own row goes last: what is cut off in between can be repeated.
    if (document) {
        auto const disabled = self.update_user(id, {.set = {{"disabled", true}}});
        if (!disabled && disabled.error().kind != ErrorKind::not_found) return std::unexpected(disabled.error());
    }
    self.forget(id);
    self.log_out(id, "Account was deleted");
    MALLARD_TRY(self.forget_state(id));
    MALLARD_TRY(self.clear_leftover(id));
    MALLARD_TRY(self.documents.erase(deleted_users_collection(), id));
    MALLARD_TRY_ASSIGN(auto const task, self.deletion_task(id));
    if (task) MALLARD_TRY(self.documents.erase(tasks_collection(), task->id("_id").value()));
    if (document) (void)self.log_event(id, {.action = "delete user", .result = "success"});
    return {};
}

Result<Accounts::Scheduled> Accounts::schedule_deletion(UserId id, TimeMs when) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const alone, UserLock::take(self.state, id));
    TimeMs const now = self.clock.now();
    MALLARD_TRY_ASSIGN(auto const document, self.user_document(id));
    MALLARD_TRY_ASSIGN(auto const earlier, self.documents.get(deleted_users_collection(), id));
    if (!document && !earlier) return fail(ErrorKind::not_found, "This user does not exist");
    MALLARD_TRY_ASSIGN(auto const rows, self.documents.find(addresses_collection(),
                                                            {.index = "user", .equals = {id}, .limit = rows_max}));
    Scheduled scheduled{.task = ObjectId::generate(), .addresses = rows.size()};
    if (document) {
        Document const info{{"deletedAt", Date{now}},
                            {"mainAddress", document->text("address")},
                            {"addresses", Array(rows.begin(), rows.end())}};
        Document moved = *document;
        moved.set("deleteInfo", info);
        auto const kept = self.documents.insert(deleted_users_collection(), std::move(moved));
        if (!kept && kept.error().kind != ErrorKind::already_exists) return std::unexpected(kept.error());
        MALLARD_TRY(self.documents.erase(users_collection(), id));
        self.forget(id);
        self.log_out(id, "Account was deleted");
    }
    MALLARD_TRY(self.erase_addresses(id));
    self.forget(id);
    MALLARD_TRY(self.state.erase_member("feature:indexing", id.hex()));

    MALLARD_TRY_ASSIGN(auto const task, self.deletion_task(id));
    if (task) {
        scheduled.task = task->id("_id").value();
        auto const changed = self.documents.update(
            tasks_collection(), scheduled.task, {.set = {{"lockedUntil", Date{when}}}, .expect = {{"locked", true}}});
        // Who has begun with it goes on.
        if (!changed && changed.error().kind != ErrorKind::conflict && changed.error().kind != ErrorKind::not_found)
            return std::unexpected(changed.error());
        return scheduled;
    }
    MALLARD_TRY(self.add_task(scheduled.task, user_deletion_task, {{"user", id}}, when));
    (void)self.log_event(id, {.action = "delete user", .result = "success"});
    return scheduled;
}

Result<std::optional<DeletedUser>> Accounts::deleted_user(UserId id) const {
    MALLARD_TRY_ASSIGN(auto const document, impl_->documents.get(deleted_users_collection(), id));
    if (!document) return std::nullopt;
    User const user = user_from(*document);
    DeletedUser deleted{.id = id, .username = user.username, .tags = user.tags, .addresses = {}};
    MALLARD_TRY_ASSIGN(deleted.storage_used, impl_->mail.storage_used(id));
    if (auto const* info = document->document("deleteInfo")) deleted.deleted = info->date("deletedAt").value_or(0);
    for (auto const& address : kept_addresses(*document)) {
        MALLARD_TRY_ASSIGN(auto const taken, impl_->address_row(address.text("addrview")));
        if (!taken) deleted.addresses.emplace_back(address.text("address"));
    }
    return deleted;
}

Result<Accounts::Restored> Accounts::restore(UserId id) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const alone, UserLock::take(self.state, id));
    MALLARD_TRY_ASSIGN(auto const deleted, self.documents.get(deleted_users_collection(), id));
    if (!deleted) return fail(ErrorKind::not_found, "This user was not deleted");
    Restored restored;
    MALLARD_TRY_ASSIGN(auto const task, self.deletion_task(id));
    if (task) {
        if (!is_delayed(*task)) return fail(ErrorKind::conflict, "The deletion of this user has begun");
        // Whoever changes it first has it, us or who runs tasks: ours waits for ever, until it is erased at the end.
        auto const taken =
            self.documents.update(tasks_collection(), task->id("_id").value(),
                                  {.set = {{"lockedUntil", Date{for_ever}}, {"locked", true}, {"status", "delayed"}},
                                   .expect = {{"locked", task_value(*task, "locked")}}});
        if (!taken) return fail(ErrorKind::conflict, "The deletion of this user has begun");
        restored.task = task->id("_id").value();
    }
    Document document = *deleted;
    document.erase("deleteInfo");
    document.set("address", "");
    auto const inserted = self.documents.insert(users_collection(), document);
    if (!inserted) {
        MALLARD_TRY_ASSIGN(auto const there, self.user_document(id));  // of a restoring that was cut off
        if (!there) {
            if (task)  // as it was
                (void)self.documents.update(tasks_collection(), *restored.task,
                                            {.set = {{"lockedUntil", task_value(*task, "lockedUntil")}}});
            if (inserted.error().kind != ErrorKind::already_exists) return std::unexpected(inserted.error());
            return fail(ErrorKind::already_exists, "There is another user of this name now", "users_dotless");
        }
    }
    auto const* info = deleted->document("deleteInfo");
    std::string const main(info ? info->text("mainAddress") : std::string_view());
    for (auto const& address : kept_addresses(*deleted)) {
        auto const back = self.documents.insert(addresses_collection(), address);
        if (!back && back.error().kind != ErrorKind::already_exists) return std::unexpected(back.error());
        if (!back) {
            MALLARD_TRY_ASSIGN(auto const row, self.address_row(address.text("addrview")));
            if (!row || row->id("user") != id) continue;  // taken meanwhile
        }
        ++restored.addresses;
        auto const text = address.text("address");
        if (text == main || (restored.main.empty() && !text.contains('*'))) restored.main = text;
    }
    MALLARD_TRY(self.update_user(id, {.set = {{"address", restored.main}}}));
    if (user_from(document).indexing_feature) MALLARD_TRY(self.state.add_member("feature:indexing", id.hex()));
    self.forget(id);
    MALLARD_TRY(self.documents.erase(deleted_users_collection(), id));
    if (restored.task) MALLARD_TRY(self.documents.erase(tasks_collection(), *restored.task));
    (void)self.log_event(id, {.action = "restore user", .result = "success"});
    return restored;
}

}  // namespace mallard::accounts
