// Reading the authlog (api.md §8.2); Impl::log_event() writes it.

#include "accounts/accounts_impl.hpp"
#include "accounts/entities.hpp"
#include "accounts/paging.hpp"
#include "base/encoding.hpp"

namespace mallard::accounts {

using bson::Document;

namespace {

constexpr std::string_view text_fields[] = {"action",        "result", "sess",       "ip",    "protocol",
                                            "requiredScope", "target", "asp",        "aname", "filter",
                                            "credential",    "appId",  "require2fa", "source"};

// A text, an id, or null.
std::optional<std::string> shown(bson::Value const& value) {
    if (auto const* text = value.as<std::string>()) return *text;
    if (auto const* id = value.as<ObjectId>()) return id->hex();
    return std::nullopt;
}

Accounts::AuthRecord record_from(Document const& row) {
    Accounts::AuthRecord record{.id = row.id("_id").value_or(ObjectId{}),
                                .texts = {},
                                .temporary = std::nullopt,
                                .created = row.date("created").value_or(0),
                                .last = row.date("last").value_or(0),
                                .expires = row.date("expires").value_or(0),
                                .events = row.integer("events")};
    for (auto const field : text_fields)
        if (auto const* value = row.find(field)) record.texts.emplace_back(field, shown(*value));
    auto const* key = row.find("key");
    if (auto const* octets = key ? key->as<bson::Binary>() : nullptr)
        record.texts.emplace_back("key", base64_encode(octets->bytes));
    if (row.find("temporary")) record.temporary = row.boolean("temporary");
    return record;
}

}  // namespace

Result<Page<Accounts::AuthRecord>> Accounts::authlog(UserId user, AuthFilter const& filter,
                                                     ListRequest const& request) const {
    auto const matches = [&](Document const& row) {
        return (filter.action.empty() || row.text("action") == filter.action) &&
               (filter.address.empty() || row.text("ip") == filter.address);
    };
    bool const filtered = !filter.action.empty() || !filter.address.empty();
    PageOrder const order{.index = "user", .key = "_id", .equals = {user}};
    Narrowing narrowing;
    if (filtered) narrowing.matches = matches;
    MALLARD_TRY_ASSIGN(auto page, read_page(impl_->documents, authlog_collection(), order, request, narrowing));
    Page<AuthRecord> records{.results = {}, .total = page.total, .next = page.next, .previous = page.previous};
    for (auto const& row : page.results) records.results.push_back(record_from(row));
    return records;
}

Result<std::optional<Accounts::AuthRecord>> Accounts::auth_record(UserId user, ObjectId id) const {
    MALLARD_TRY_ASSIGN(auto const row, impl_->documents.get(authlog_collection(), id));
    if (!row || row->id("user") != user) return std::nullopt;
    return record_from(*row);
}

}  // namespace mallard::accounts
