#include "migrate/mirror_documents.hpp"

#include "migrate/mark.hpp"

namespace mallard::migrate {

namespace {

constexpr std::size_t page = 500;
constexpr std::string_view storage_field = "storageUsed";

bool is_users(store::Collection const& collection) {
    return collection.name == "users" && collection.role == store::DatabaseRole::users;
}

bool is_deleted_users(store::Collection const& collection) {
    return collection.name == "deletedusers" && collection.role == store::DatabaseRole::users;
}

bool has_storage_counter(store::Collection const& collection) {
    return is_users(collection) || is_deleted_users(collection);
}

// All documents of a collection by _id.
class Walk {
public:
    Walk(store::Documents const& documents, store::Collection const& collection)
        : documents_(documents), collection_(collection) {}

    Result<bson::Document const*> current() {  // null: the end
        if (at_ == batch_.size() && !ended_) {
            store::Query query{.after_id = after_, .limit = page};
            MALLARD_TRY_ASSIGN(batch_, documents_.find(collection_, query));
            at_ = 0;
            ended_ = batch_.empty();
            if (!ended_) after_ = batch_.back().id("_id");
        }
        return ended_ ? nullptr : &batch_[at_];
    }
    void next() { ++at_; }

private:
    store::Documents const& documents_;
    store::Collection const& collection_;
    std::vector<bson::Document> batch_;
    std::size_t at_ = 0;
    bool ended_ = false;
    std::optional<ObjectId> after_;
};

Result<std::int64_t> octets_of(store::MailStore& mail, UserId user) {
    MALLARD_TRY_ASSIGN(auto const mailboxes, mail.mailboxes(user));
    std::int64_t octets = 0;
    for (auto const& info : mailboxes)
        if (auto const index = mail.snapshot(info.id)) octets += static_cast<std::int64_t>((*index)->counts().bytes);
    return octets;
}

// The source's document as the target is to have it.
Result<bson::Document> arriving(Side const& from, Side const& to, store::Collection const& collection,
                                bson::Document document) {
    auto const id = document.id("_id");
    if (!id || !has_storage_counter(collection)) return document;
    // A deleted user's is no counter of either engine: it is what the counter starts with when the user comes back.
    MALLARD_TRY_ASSIGN(auto const used,
                       is_users(collection) ? to.mail.storage_used(UserId(*id)) : octets_of(from.mail, UserId(*id)));
    document.set(storage_field, bson::number(used));
    return document;
}

}  // namespace

std::vector<store::Collection> collections_of(Side const& from) {
    auto collections = from.documents.declared();
    std::erase_if(collections, [](auto const& one) { return one.name == marks_collection().name; });
    return collections;
}

std::vector<store::Collection> people_of(Side const& from) {
    auto collections = from.documents.declared();
    std::erase_if(collections, [](auto const& one) { return !is_users(one) && !is_deleted_users(one); });
    return collections;
}

bool same_document(store::Collection const& collection, bson::Document const& a, bson::Document const& b) {
    if (a == b) return true;
    if (!has_storage_counter(collection)) return false;
    bson::Document one = a, other = b;
    one.set(storage_field, 0);
    other.set(storage_field, 0);
    return one == other;
}

Result<void> compare_collection(store::Documents const& from, store::Documents const& to,
                                store::Collection const& collection, VisitPair const& visit) {
    Walk source(from, collection), target(to, collection);
    while (true) {
        MALLARD_TRY_ASSIGN(auto const* const a, source.current());
        MALLARD_TRY_ASSIGN(auto const* const b, target.current());
        if (!a && !b) return {};
        auto const id_a = a ? a->id("_id") : std::nullopt, id_b = b ? b->id("_id") : std::nullopt;
        bool const take_a = a && (!b || id_a <= id_b), take_b = b && (!a || id_b <= id_a);
        MALLARD_TRY_ASSIGN(bool const more, visit(take_a ? a : nullptr, take_b ? b : nullptr));
        if (!more) return {};
        if (take_a) source.next();
        if (take_b) target.next();
    }
}

Result<std::uint64_t> mirror_documents(Side const& from, Side const& to, std::function<bool()> const& step) {
    std::uint64_t changes = 0;
    for (auto const& collection : collections_of(from)) {
        MALLARD_TRY(to.documents.declare(collection));
        std::vector<bson::Document> late;  // whose unique key another document of the target still has
        auto const put = [&](bson::Document document, bool keep_late) -> Result<void> {
            auto inserted = to.documents.insert(collection, document);
            if (inserted || inserted.error().kind != ErrorKind::already_exists) return inserted;
            if (keep_late) late.push_back(std::move(document));
            return {};
        };
        MALLARD_TRY(compare_collection(from.documents, to.documents, collection,
                                       [&](bson::Document const* source, bson::Document const* target) -> Result<bool> {
                                           if (!step()) return fail(ErrorKind::closed, std::string(stopped_message));
                                           if (source && target && same_document(collection, *source, *target))
                                               return true;
                                           ++changes;
                                           std::optional<bson::Document> document;
                                           if (source) {
                                               MALLARD_TRY_ASSIGN(document, arriving(from, to, collection, *source));
                                           }
                                           if (target)
                                               MALLARD_TRY(to.documents.erase(collection,
                                                                              target->id("_id").value_or(ObjectId{})));
                                           if (document) MALLARD_TRY(put(std::move(*document), true));
                                           return true;
                                       }));
        for (auto& document : std::exchange(late, {})) MALLARD_TRY(put(std::move(document), false));
    }
    return changes;
}

}  // namespace mallard::migrate
