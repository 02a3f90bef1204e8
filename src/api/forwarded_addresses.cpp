// Forwarded addresses: of no user, with targets (api.md §13).

#include "api/address_view.hpp"
#include "api/paging.hpp"
#include "api/values.hpp"

namespace mallard::api {
namespace {

using namespace http;
using accounts::Address;
using accounts::Autoreply;

// What is given changes, what is not stays. An emptied text takes the HTML with it, and the other way round.
Autoreply autoreply_of(Json const& given, Autoreply reply) {
    auto const date_at = [&](char const* key, std::optional<TimeMs>& into) {
        auto const found = given.find(key);
        if (found == given.end()) return;
        into = found->is_number() ? std::optional<TimeMs>(found->get<TimeMs>()) : std::nullopt;  // false: none
    };
    auto const text_at = [&](char const* key, std::string& into) {
        if (auto const found = given.find(key); found != given.end()) into = found->get<std::string>();
    };
    reply.status = given.value("status", true);
    date_at("start", reply.start);
    date_at("end", reply.end);
    text_at("name", reply.name);
    text_at("subject", reply.subject);
    bool const emptied = given.value("text", "-").empty() || given.value("html", "-").empty();
    text_at("text", reply.text);
    text_at("html", reply.html);
    if (emptied && !given.contains("text")) reply.text.clear();
    if (emptied && !given.contains("html")) reply.html.clear();
    return reply;
}

Answer create_forwarded(Call& call) {
    auto const wanted = call.text("address");
    if (wanted.contains('+')) return std::unexpected(invalid_input("Address can not contain +"));
    if (wanted.contains('*') && !call.flag("allowWildcard")) {
        return std::unexpected(
            invalid_input("Address can not contain *: send allowWildcard to make a wildcard address"));
    }
    Address address;
    address.address = wanted;
    address.name = call.text("name");
    address.targets = targets_of(call.texts("targets"));
    address.forwards = call.integer("forwards");
    address.tags = call.texts("tags");
    address.meta_data = call.text("metaData");
    address.internal_data = call.text("internalData");
    if (call.has("autoreply")) address.autoreply = autoreply_of(call.params["autoreply"], {});
    auto const added = call.services.accounts.add_forwarded(std::move(address), call.flag("allowWildcard"));
    if (!added) return std::unexpected(failure_of(added.error(), Subject::address));
    OrderedJson reply = success();
    reply["id"] = added->id.hex();
    return reply;
}

std::expected<Address, Failure> forwarded(Call& call, std::string_view parameter) {
    auto found = call.services.accounts.address(AddressId::from_hex(call.text(parameter)).value_or(AddressId{}));
    if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
    if (!*found || !(*found)->user.is_nil()) return std::unexpected(address_not_found());
    return std::move(**found);
}

Answer get_forwarded(Call& call) {
    auto const address = forwarded(call, "address");
    if (!address) return std::unexpected(address.error());
    OrderedJson reply = success();
    reply["id"] = address->id.hex();
    if (!address->name.empty()) reply["name"] = address->name;
    reply["address"] = address->address;
    add_forwarding(call, *address, reply);
    reply["tags"] = address->tags;
    if (address->forwarded_disabled) reply["forwardedDisabled"] = true;
    reply["created"] = iso_date(address->created);
    add_data(call, *address, reply, true, true);
    return reply;
}

Answer update_forwarded(Call& call) {
    auto const address = forwarded(call, "id");
    if (!address) return std::unexpected(address.error());
    bool const renames = call.has("address");
    if (renames && (address->address.contains('*') || call.text("address").contains('*')))
        return std::unexpected(Failure{400, "ChangeNotAllowed", "Wildcard addresses can not be renamed"});
    accounts::Accounts::ForwardedPatch patch;
    patch.address = call.optional_text("address");
    patch.name = call.optional_text("name");
    patch.meta_data = call.optional_text("metaData");
    patch.internal_data = call.optional_text("internalData");
    if (call.has("targets")) patch.targets = targets_of(call.texts("targets"));
    if (call.has("tags")) patch.tags = call.texts("tags");
    if (call.integer("forwards") > 0) patch.forwards = call.integer("forwards");
    if (call.has("forwardedDisabled")) patch.disabled = call.flag("forwardedDisabled");
    if (call.has("autoreply")) patch.autoreply = autoreply_of(call.params["autoreply"], address->autoreply);
    auto const updated = call.services.accounts.update_forwarded(address->id, patch);
    if (!updated) return std::unexpected(failure_of(updated.error(), Subject::address));
    return success();
}

Answer delete_forwarded(Call& call) {
    auto const address = forwarded(call, "address");
    if (!address) return std::unexpected(address.error());
    auto const erased = call.services.accounts.erase_forwarded(address->id);
    if (!erased) return std::unexpected(failure_of(erased.error(), Subject::address));
    return success();
}

Field autoreply_field() {
    auto const date_or_false = date().also(false).empty_is_absent();
    auto const words = [](std::size_t most) { return text().trim().max(most).also(std::string()); };
    return optional("autoreply", object({optional("status", boolean().default_to(true)),
                                         optional("start", date_or_false), optional("end", date_or_false),
                                         optional("name", words(128)), optional("subject", words(2048)),
                                         optional("text", words(131072)), optional("html", words(131072))}));
}

std::vector<Field> write_fields(Field address) {
    return {std::move(address),
            optional("name", text().trim().max(128).empty_is_absent(), "Shown name"),
            optional("targets", array(alternatives({email(), text().rule(rules::target)})),
                     "Where mail goes on to: addresses, or smtp and http URLs"),
            optional("forwards", number().at_least(0), "How many a day; 0: the server's default"),
            autoreply_field(),
            optional("tags", array(text().trim().max(128))),
            optional("metaData", json_object()),
            optional("internalData", json_object()),
            session_field(),
            ip_field()};
}

}  // namespace

Endpoints forwarded_address_endpoints() {
    auto create = write_fields(required("address", address_or_wildcard()));
    create.push_back(optional("allowWildcard", boolean(), "The address may contain one *"));
    auto update = write_fields(optional("address", email()));
    update.push_back(optional("forwardedDisabled", boolean(), "Mail to it is refused"));
    auto const log_only = std::vector<Field>{session_field(), ip_field()};
    return {{{.id = "createForwardedAddress",
              .method = "POST",
              .path = "/addresses/forwarded",
              .tag = "Addresses",
              .summary = "Create an address that forwards its mail",
              .body_fields = create,
              .reply = success_with({required("id", id())}),
              .permission = {"addresses", "create", false}},
             create_forwarded},
            {{.id = "getForwardedAddress",
              .method = "GET",
              .path = "/addresses/forwarded/{address}",
              .tag = "Addresses",
              .summary = "Show a forwarded address",
              .path_fields = {required("address", id())},
              .query_fields = log_only,
              .reply = success_with(forwarded_fields()),
              .permission = {"addresses", "read", false}},
             get_forwarded},
            {{.id = "updateForwardedAddress",
              .method = "PUT",
              .path = "/addresses/forwarded/{id}",
              .tag = "Addresses",
              .summary = "Change a forwarded address",
              .path_fields = {required("id", id())},
              .body_fields = update,
              .reply = success_with({}),
              .permission = {"addresses", "update", false}},
             update_forwarded},
            {{.id = "deleteForwardedAddress",
              .method = "DELETE",
              .path = "/addresses/forwarded/{address}",
              .tag = "Addresses",
              .summary = "Delete a forwarded address",
              .path_fields = {required("address", id())},
              .query_fields = log_only,
              .reply = success_with({}),
              .permission = {"addresses", "delete", false}},
             delete_forwarded}};
}

}  // namespace mallard::api
