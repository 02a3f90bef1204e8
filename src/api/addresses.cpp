// Addresses of users (api.md §13).

#include <algorithm>

#include "api/address_view.hpp"
#include "api/paging.hpp"
#include "api/roles.hpp"
#include "api/values.hpp"

namespace mallard::api {
namespace {

using namespace http;
using accounts::Address;

OrderedJson user_item(Address const& address) {
    OrderedJson item{{"id", address.id.hex()}};
    if (!address.name.empty()) item["name"] = address.name;
    item["address"] = address.address;
    item["main"] = address.main;
    item["tags"] = address.tags;
    item["created"] = iso_date(address.created);
    return item;
}

OrderedJson list_item(Call const& call, Address const& address) {
    OrderedJson item{{"id", address.id.hex()}};
    if (!address.name.empty()) item["name"] = address.name;
    item["address"] = address.address;
    bool const is_forwarded = address.user.is_nil();
    if (!is_forwarded) item["user"] = address.user.hex();
    item["forwarded"] = is_forwarded;
    item["forwardedDisabled"] = is_forwarded && address.forwarded_disabled;
    if (is_forwarded) item["targets"] = target_values(address.targets);
    item["tags"] = address.tags;
    add_data(call, address, item, call.flag("metaData"), call.flag("internalData"));
    return item;
}

Answer get_addresses(Call& call) {
    auto const page = page_request(call);
    accounts::ListRequest filter;
    filter.query = call.text("query");
    filter.forward = call.text("forward");
    filter.tags = comma_list(call.text("tags"));
    filter.required_tags = comma_list(call.text("requiredTags"));
    filter.limit = page.limit;
    filter.cursor = page.where;
    if (call.own_only) filter.user = UserId::from_hex(call.who.user).value_or(UserId{});
    auto const found = call.services.accounts.list_addresses(filter);
    if (!found && found.error().kind == ErrorKind::invalid) return std::unexpected(invalid_cursor());
    if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
    OrderedJson reply = success();
    reply["query"] = filter.query;
    OrderedJson results = OrderedJson::array();
    for (auto const& address : found->results) results.push_back(list_item(call, address));
    add_page(reply, page, {found->total, found->previous, found->next}, std::move(results));
    return reply;
}

Answer resolve_address(Call& call) {
    auto const wanted = call.text("address");
    std::optional<Address> address;
    if (auto const by_id = AddressId::from_hex(wanted)) {
        auto found = call.services.accounts.address(*by_id);
        if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
        address = std::move(*found);
    } else {
        auto found = call.services.accounts.resolve(wanted, call.flag("allowWildcard"));
        if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
        if (*found) address = std::move((*found)->address);
    }
    if (!address) return std::unexpected(address_not_found());
    OrderedJson reply = success();
    reply["id"] = address->id.hex();
    reply["address"] = address->address;
    if (address->user.is_nil()) {
        reply["name"] = address->name;
        add_forwarding(call, *address, reply);
    } else {
        reply["user"] = address->user.hex();
    }
    reply["tags"] = address->tags;
    reply["created"] = iso_date(address->created);
    add_data(call, *address, reply, true, true);
    return reply;
}

Answer get_user_addresses(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto addresses = call.services.accounts.addresses(call.user());
    if (!addresses) return std::unexpected(failure_of(addresses.error(), Subject::address));
    std::ranges::sort(*addresses, {}, &Address::addrview);
    OrderedJson reply = success();
    reply["results"] = OrderedJson::array();
    for (auto const& address : *addresses) {
        OrderedJson item = user_item(address);
        add_data(call, address, item, call.flag("metaData"), call.flag("internalData"));
        reply["results"].push_back(std::move(item));
    }
    return reply;
}

// The address of that id, if it is this user's.
std::expected<Address, Failure> own_address(Call& call, std::string_view parameter) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto const id = AddressId::from_hex(call.text(parameter));
    auto found = call.services.accounts.address(id.value_or(AddressId{}));
    if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
    if (!*found || (*found)->user != call.user()) return std::unexpected(address_not_found());
    return std::move(**found);
}

Answer get_user_address(Call& call) {
    auto const address = own_address(call, "address");
    if (!address) return std::unexpected(address.error());
    OrderedJson reply = success();
    reply.update(user_item(*address));
    add_data(call, *address, reply, true, true);
    return reply;
}

Answer create_user_address(Call& call) {
    if (auto failed = check_user(call)) return std::unexpected(std::move(*failed));
    auto const wanted = call.text("address");
    if (wanted.find('+') != std::string::npos) {
        return std::unexpected(
            invalid_input("Address can not contain +: mail to labels arrives without being asked for"));
    }
    bool const is_wildcard = wanted.find('*') != std::string::npos;
    if (is_wildcard && !call.flag("allowWildcard")) {
        return std::unexpected(
            invalid_input("Address can not contain *: send allowWildcard to make a wildcard address"));
    }
    if (is_wildcard && call.flag("main")) return std::unexpected(invalid_input("Main address can not contain *"));
    auto const address = call.services.accounts.add_address(
        call.user(), wanted, call.text("name"), clean_tags(call.texts("tags")), call.text("metaData"),
        call.text("internalData"), call.flag("main"), call.flag("allowWildcard"));
    if (!address && address.error().kind == ErrorKind::not_found) return std::unexpected(user_not_found());
    if (!address) return std::unexpected(failure_of(address.error(), Subject::address));
    OrderedJson reply = success();
    reply["id"] = address->id.hex();
    return reply;
}

Answer update_user_address(Call& call) {
    if (call.has("main") && !call.flag("main")) {
        return std::unexpected(invalid_input("Cannot unset main status: make another address the main one"));
    }
    auto const address = own_address(call, "id");
    if (!address) return std::unexpected(address.error());
    bool const is_wildcard = address->address.find('*') != std::string::npos;
    if (call.has("address") && (is_wildcard || call.text("address").find('*') != std::string::npos)) {
        return std::unexpected(Failure{400, "ChangeNotAllowed", "Wildcard addresses can not be renamed"});
    }
    if (call.flag("main") && is_wildcard) {
        return std::unexpected(Failure{400, "WildcardNotPermitted", "A wildcard address can not be the main address"});
    }
    accounts::Accounts::AddressPatch patch;
    patch.address = call.optional_text("address");
    patch.name = call.optional_text("name");
    patch.meta_data = call.optional_text("metaData");
    patch.internal_data = call.optional_text("internalData");
    if (call.has("tags")) patch.tags = clean_tags(call.texts("tags"));
    if (call.has("main")) patch.main = call.flag("main");
    auto const updated = call.services.accounts.update_address(call.user(), address->id, patch);
    if (!updated) return std::unexpected(failure_of(updated.error(), Subject::address));
    return success();
}

Answer delete_user_address(Call& call) {
    auto const address = own_address(call, "address");
    if (!address) return std::unexpected(address.error());
    if (address->main) {
        return std::unexpected(
            Failure{400, "NotPermitted", "Can not delete the main address: make another address the main one first"});
    }
    auto const erased = call.services.accounts.erase_address(call.user(), address->id);
    if (!erased) return std::unexpected(failure_of(erased.error(), Subject::address));
    return success();
}

std::vector<Field> data_flags() {
    return {optional("metaData", boolean(), "Include metaData"),
            optional("internalData", boolean(), "Include internalData")};
}

std::vector<Field> list_fields() {
    std::vector<Field> fields{
        optional("query", text().trim().max(255).default_to(std::string()).empty_is_absent(), "Part of the address"),
        optional("forward", text().trim().max(255).empty_is_absent(), "Part of a forwarding target"),
        optional("tags", text().trim().max(1024).empty_is_absent(), "Comma list: addresses with any of these"),
        optional("requiredTags", text().trim().max(1024).empty_is_absent(), "Comma list: addresses with all of these")};
    for (auto const& more : {data_flags(), paging_fields()}) fields.insert(fields.end(), more.begin(), more.end());
    fields.push_back(session_field());
    fields.push_back(ip_field());
    return fields;
}

std::vector<Field> write_fields(Field address) {
    return {std::move(address),
            optional("name", text().trim().max(128).empty_is_absent(), "Shown name"),
            optional("tags", array(text().trim().max(128))),
            optional("main", boolean(), "Make it the user's main address"),
            optional("metaData", json_object()),
            optional("internalData", json_object()),
            session_field(),
            ip_field()};
}

std::vector<Field> reply_fields() {
    return {required("id", id()),
            optional("name", text()),
            optional("address", text()),
            required("main", boolean()),
            required("tags", array(text())),
            required("created", date()),
            optional("metaData", open_object()),
            optional("internalData", open_object())};
}

// Of a user's address or a forwarded one: what only the latter has is not required.
std::vector<Field> resolved_fields() {
    auto fields = forwarded_fields();
    for (auto& field : fields)
        if (field.name == "limits" || field.name == "autoreply") field.required = false;
    fields.push_back(optional("user", id()));
    return fields;
}

Schema listed_address() {
    return object({required("id", id()), optional("name", text()), optional("address", text()), optional("user", id()),
                   required("forwarded", boolean()), required("forwardedDisabled", boolean()),
                   optional("targets", array(text())), required("tags", array(text())),
                   optional("metaData", open_object()), optional("internalData", open_object())});
}

}  // namespace

Endpoints address_endpoints() {
    auto create = write_fields(required("address", address_or_wildcard()));
    create.push_back(optional("allowWildcard", boolean(), "The address may contain one *"));
    auto read = data_flags();
    read.push_back(session_field());
    read.push_back(ip_field());
    auto const log_only = std::vector<Field>{session_field(), ip_field()};
    return {{{.id = "getAddresses",
              .method = "GET",
              .path = "/addresses",
              .tag = "Addresses",
              .summary = "List addresses",
              .query_fields = list_fields(),
              .reply = page_of(listed_address(), {required("query", text())}),
              .permission = {"addresslisting", "read", true},
              .allow_unknown = true},
             get_addresses},
            {{.id = "resolveAddress",
              .method = "GET",
              .path = "/addresses/resolve/{address}",
              .tag = "Addresses",
              .summary = "Find whose an address is",
              .path_fields = {required("address", alternatives({id(), address_or_wildcard()}))},
              .query_fields = {optional("allowWildcard", boolean(), "Wildcard addresses count"), session_field(),
                               ip_field()},
              .reply = success_with(resolved_fields()),
              .permission = {"addresses", "read", false}},
             resolve_address},
            {{.id = "getUserAddresses",
              .method = "GET",
              .path = "/users/{user}/addresses",
              .tag = "Addresses",
              .summary = "List a user's addresses",
              .path_fields = {user_field()},
              .query_fields = read,
              .reply = success_with({required("results", array(object(reply_fields())))}),
              .permission = {"addresses", "read", true}},
             get_user_addresses},
            {{.id = "createUserAddress",
              .method = "POST",
              .path = "/users/{user}/addresses",
              .tag = "Addresses",
              .summary = "Give a user an address",
              .path_fields = {user_field()},
              .body_fields = create,
              .reply = success_with({required("id", id())}),
              .permission = {"addresses", "create", true}},
             create_user_address},
            {{.id = "getUserAddress",
              .method = "GET",
              .path = "/users/{user}/addresses/{address}",
              .tag = "Addresses",
              .summary = "Show a user's address",
              .path_fields = {user_field(), required("address", id())},
              .query_fields = log_only,
              .reply = success_with(reply_fields()),
              .permission = {"addresses", "read", true}},
             get_user_address},
            {{.id = "updateUserAddress",
              .method = "PUT",
              .path = "/users/{user}/addresses/{id}",
              .tag = "Addresses",
              .summary = "Change a user's address",
              .path_fields = {user_field(), required("id", id())},
              .body_fields = write_fields(optional("address", email())),
              .reply = success_with({}),
              .permission = {"addresses", "update", true}},
             update_user_address},
            {{.id = "deleteUserAddress",
              .method = "DELETE",
              .path = "/users/{user}/addresses/{address}",
              .tag = "Addresses",
              .summary = "Take an address from a user",
              .path_fields = {user_field(), required("address", id())},
              .query_fields = log_only,
              .reply = success_with({}),
              .permission = {"addresses", "delete", true}},
             delete_user_address}};
}

}  // namespace mallard::api
