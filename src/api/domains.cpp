// Domain aliases, and the renaming of a domain (api.md §13, §23).

#include "accounts/normalize.hpp"
#include "api/endpoint.hpp"
#include "api/paging.hpp"

namespace mallard::api {
namespace {

using namespace http;
using Alias = accounts::Accounts::DomainAlias;

Failure alias_not_found() { return {404, "AliasNotFound", "This domain alias does not exist"}; }

std::optional<Failure> refuse_domain(std::string const& name, std::string_view parameter) {
    if (accounts::is_email_address("a@" + name)) return std::nullopt;
    Failure failure = invalid_input("\"" + std::string(parameter) + "\" must be a domain, as in example.com");
    failure.extra["details"] = {{std::string(parameter), failure.message}};
    return failure;
}

OrderedJson item_of(Alias const& alias) {
    return {{"id", alias.id.hex()}, {"alias", alias.alias}, {"domain", alias.domain}};
}

Answer list_aliases(Call& call) {
    auto const page = page_request(call);
    accounts::ListRequest filter;
    filter.query = call.text("query");
    filter.limit = page.limit;
    filter.cursor = page.where;
    auto const found = call.services.accounts.list_domain_aliases(filter);
    if (!found && found.error().kind == ErrorKind::invalid) return std::unexpected(invalid_cursor());
    if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
    OrderedJson reply = success();
    if (call.has("query")) reply["query"] = filter.query;
    OrderedJson results = OrderedJson::array();
    for (auto const& alias : found->results) results.push_back(item_of(alias));
    add_page(reply, page, {found->total, found->previous, found->next}, std::move(results));
    return reply;
}

Answer create_alias(Call& call) {
    for (std::string_view const name : {"alias", "domain"})
        if (auto refused = refuse_domain(call.text(name), name)) return std::unexpected(std::move(*refused));
    auto const added = call.services.accounts.add_domain_alias(call.text("alias"), call.text("domain"));
    if (!added && added.error().kind == ErrorKind::already_exists)
        return std::unexpected(Failure{400, "AliasExists", "This domain alias already exists"});
    if (!added) return std::unexpected(failure_of(added.error(), Subject::address));
    OrderedJson reply = success();
    reply["id"] = added->id.hex();
    return reply;
}

Answer resolve_alias(Call& call) {
    auto const found = call.services.accounts.find_domain_alias(call.text("alias"));
    if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
    if (!*found) return std::unexpected(alias_not_found());
    OrderedJson reply = success();
    reply["id"] = (*found)->id.hex();
    return reply;
}

ObjectId alias_id(Call const& call) { return ObjectId::from_hex(call.text("alias")).value_or(ObjectId{}); }

Answer get_alias(Call& call) {
    auto const found = call.services.accounts.domain_alias(alias_id(call));
    if (!found) return std::unexpected(failure_of(found.error(), Subject::address));
    if (!*found) return std::unexpected(alias_not_found());
    OrderedJson reply = success();
    reply.update(item_of(**found));
    reply["created"] = iso_date((*found)->created);
    return reply;
}

Answer delete_alias(Call& call) {
    auto const erased = call.services.accounts.erase_domain_alias(alias_id(call));
    if (!erased) return std::unexpected(failure_of(erased.error(), Subject::address));
    if (!*erased) return std::unexpected(alias_not_found());
    return success();
}

Answer rename_domain(Call& call) {
    if (auto refused = refuse_domain(call.text("newDomain"), "newDomain")) return std::unexpected(std::move(*refused));
    auto const renamed = call.services.accounts.rename_domain(call.text("oldDomain"), call.text("newDomain"));
    if (!renamed) return std::unexpected(failure_of(renamed.error(), Subject::address));
    OrderedJson reply = success();
    reply["modifiedAddresses"] = renamed->addresses;
    reply["modifiedUsers"] = renamed->users;
    reply["modifiedDkim"] = renamed->dkim;
    reply["modifiedAliases"] = renamed->aliases;
    return reply;
}

Endpoints alias_endpoints() {
    auto const name = text().max(255);
    auto const log_only = std::vector<Field>{session_field(), ip_field()};
    auto const item = std::vector<Field>{required("id", id()), required("alias", text()), required("domain", text())};
    auto shown = item;
    shown.push_back(required("created", date()));
    std::vector<Field> list{optional("query", text().trim().max(255).empty_is_absent(), "Part of alias or domain")};
    for (auto& field : paging_fields()) list.push_back(std::move(field));
    list.insert(list.end(), log_only.begin(), log_only.end());
    return {{{.id = "getDomainAliases",
              .method = "GET",
              .path = "/domainaliases",
              .tag = "DomainAliases",
              .summary = "List domain aliases",
              .query_fields = list,
              .reply = page_of(object(item), {optional("query", text())}),
              .permission = {"domainaliases", "read", false},
              .allow_unknown = true},
             list_aliases},
            {{.id = "createDomainAlias",
              .method = "POST",
              .path = "/domainaliases",
              .tag = "DomainAliases",
              .summary = "Let mail to one domain be mail to another",
              .body_fields = {required("alias", name), required("domain", name), session_field(), ip_field()},
              .reply = success_with({required("id", id())}),
              .permission = {"domainaliases", "create", false}},
             create_alias},
            {{.id = "resolveDomainAlias",
              .method = "GET",
              .path = "/domainaliases/resolve/{alias}",
              .tag = "DomainAliases",
              .summary = "Find the ID of a domain alias",
              .path_fields = {required("alias", name)},
              .query_fields = log_only,
              .reply = success_with({required("id", id())}),
              .permission = {"domainaliases", "read", false}},
             resolve_alias},
            {{.id = "getDomainAlias",
              .method = "GET",
              .path = "/domainaliases/{alias}",
              .tag = "DomainAliases",
              .summary = "Show a domain alias",
              .path_fields = {required("alias", id())},
              .query_fields = log_only,
              .reply = success_with(shown),
              .permission = {"domainaliases", "read", false}},
             get_alias},
            {{.id = "deleteDomainAlias",
              .method = "DELETE",
              .path = "/domainaliases/{alias}",
              .tag = "DomainAliases",
              .summary = "Delete a domain alias",
              .path_fields = {required("alias", id())},
              .query_fields = log_only,
              .reply = success_with({}),
              .permission = {"domainaliases", "delete", false}},
             delete_alias}};
}

}  // namespace

Endpoints domain_endpoints() {
    Endpoints table = alias_endpoints();
    auto const name = text().max(255);
    table.push_back(
        {{.id = "renameDomain",
          .method = "PUT",
          .path = "/addresses/renameDomain",
          .tag = "Addresses",
          .summary = "Give all addresses of a domain another domain",
          .body_fields = {required("oldDomain", name), required("newDomain", name), session_field(), ip_field()},
          .reply = success_with({required("modifiedAddresses", number()), required("modifiedUsers", number()),
                                 required("modifiedDkim", number()), required("modifiedAliases", number())}),
          .permission = {"addresses", "update", false}},
         rename_domain});
    return table;
}

}  // namespace mallard::api
