// The log of a user's logins and changes of credentials (api.md §8.2).

#include "api/endpoint.hpp"
#include "api/paging.hpp"
#include "api/values.hpp"

namespace mallard::api {
namespace {

using namespace http;
using Record = accounts::Accounts::AuthRecord;

OrderedJson shown(Record const& record) {
    OrderedJson item{{"id", record.id.hex()}};
    for (auto const& [name, text] : record.texts) item[name] = text ? OrderedJson(*text) : OrderedJson(nullptr);
    if (record.temporary) item["temporary"] = *record.temporary;
    item["created"] = iso_date(record.created);
    item["last"] = iso_date(record.last);
    item["events"] = record.events;
    item["expires"] = iso_date(record.expires);
    return item;
}

Answer list_events(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto const page = page_request(call);
    accounts::ListRequest request;
    request.limit = page.limit;
    request.cursor = page.where;
    request.descending = true;
    auto const found = call.services.accounts.authlog(
        call.user(), {.action = call.text("action"), .address = call.text("filterip")}, request);
    if (!found && found.error().kind == ErrorKind::invalid) return std::unexpected(invalid_cursor());
    if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
    OrderedJson reply = success();
    if (call.has("action")) reply["action"] = call.text("action");
    OrderedJson results = OrderedJson::array();
    for (auto const& record : found->results) results.push_back(shown(record));
    add_page(reply, page, {found->total, found->previous, found->next}, std::move(results));
    return reply;
}

Answer show_event(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto const id = ObjectId::from_hex(call.text("event"));
    auto const found = call.services.accounts.auth_record(call.user(), id.value_or(ObjectId{}));
    if (!found) return std::unexpected(failure_of(found.error(), Subject::user));
    if (!*found) return std::unexpected(Failure{404, "EventNotFound", "This event does not exist"});
    OrderedJson reply = success();
    reply.update(shown(**found));
    return reply;
}

std::vector<Field> event_fields() {
    std::vector<Field> fields{required("id", id()),
                              required("action", text()),
                              required("created", date()),
                              required("last", date()),
                              required("events", number()),
                              required("expires", date()),
                              optional("temporary", boolean())};
    for (auto const* name : {"result", "key", "sess", "ip", "protocol", "requiredScope", "target", "asp", "aname",
                             "filter", "credential", "appId", "source", "require2fa"})
        fields.push_back(optional(name, text().also(nullptr)));
    return fields;
}

}  // namespace

Endpoints authlog_endpoints() {
    auto list_fields = paging_fields();
    list_fields.push_back(optional("action", text().trim().lower().max(100).empty_is_absent(), "Only of this kind"));
    list_fields.push_back(optional("filterip", ip(), "Only from this address"));
    list_fields.push_back(session_field());
    list_fields.push_back(ip_field());
    return {{{.id = "getAuthlog",
              .method = "GET",
              .path = "/users/{user}/authlog",
              .tag = "Authentication",
              .summary = "List logins and changes of credentials, the newest first",
              .path_fields = {user_field()},
              .query_fields = std::move(list_fields),
              .reply = page_of(object(event_fields()), {optional("action", text())}),
              .permission = {"authentication", "read", true}},
             list_events},
            {{.id = "getAuthlogEvent",
              .method = "GET",
              .path = "/users/{user}/authlog/{event}",
              .tag = "Authentication",
              .summary = "Show one of them",
              .path_fields = {user_field(), required("event", id())},
              .query_fields = {session_field(), ip_field()},
              .reply = success_with(event_fields()),
              .permission = {"authentication", "read", true}},
             show_event}};
}

}  // namespace mallard::api
