#include "store/mail_store.hpp"

#include "store/bson.hpp"

namespace mallard::store {

Error storage_full() {
    return {ErrorKind::over_quota, "The mailbox is full: delete messages or ask for a larger quota", {}};
}

Result<Appended> MailStore::append_to(UserId user, std::string_view path, NewMessage message) {
    MALLARD_TRY_ASSIGN(auto const found, find_mailbox(user, path));
    if (!found) return fail(ErrorKind::not_found, "there is no such mailbox");
    return append(found->id, std::move(message));
}

Result<std::int64_t> MailStore::storage_used_by(bson::Document const& user) const {
    return storage_used(UserId(user.id("_id").value_or(ObjectId())));
}

}  // namespace mallard::store
