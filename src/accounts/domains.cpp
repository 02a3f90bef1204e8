// Domain aliases, and a domain that gets another name (storage.md §3.4, api.md §13, §23).

#include "accounts/accounts_impl.hpp"
#include "accounts/normalize.hpp"
#include "accounts/paging.hpp"

namespace mallard::accounts {

using bson::Document;

namespace {

Accounts::DomainAlias alias_from(Document const& document) {
    return {.id = document.id("_id").value_or(ObjectId{}),
            .alias = std::string(document.text("alias")),
            .domain = std::string(document.text("domain")),
            .created = document.date("created").value_or(0)};
}

}  // namespace

Result<Accounts::DomainAlias> Accounts::add_domain_alias(std::string const& alias, std::string const& domain) {
    auto& self = *impl_;
    DomainAlias const added{.id = ObjectId::generate(),
                            .alias = normalize_domain(alias),
                            .domain = normalize_domain(domain),
                            .created = self.clock.now()};
    auto const inserted = self.documents.insert(
        domain_aliases_collection(),
        {{"_id", added.id}, {"alias", added.alias}, {"domain", added.domain}, {"created", bson::Date{added.created}}});
    self.resolved.drop_all();
    if (!inserted && inserted.error().kind == ErrorKind::already_exists)
        return fail(ErrorKind::already_exists, "This domain alias already exists", "domainalias");
    if (!inserted) return std::unexpected(inserted.error());
    MALLARD_TRY(self.remember_domain("@" + added.alias));
    return added;
}

Result<std::optional<Accounts::DomainAlias>> Accounts::domain_alias(ObjectId id) const {
    MALLARD_TRY_ASSIGN(auto const row, impl_->documents.get(domain_aliases_collection(), id));
    if (!row) return std::nullopt;
    return alias_from(*row);
}

Result<std::optional<Accounts::DomainAlias>> Accounts::find_domain_alias(std::string const& alias) const {
    MALLARD_TRY_ASSIGN(auto const row,
                       impl_->documents.find_one(domain_aliases_collection(),
                                                 {.index = "domainalias", .equals = {normalize_domain(alias)}}));
    if (!row) return std::nullopt;
    return alias_from(*row);
}

Result<Page<Accounts::DomainAlias>> Accounts::list_domain_aliases(ListRequest const& request) const {
    auto const matches = [&](Document const& document) {
        return document.text("alias").contains(request.query) || document.text("domain").contains(request.query);
    };
    Narrowing narrowing;
    if (!request.query.empty()) narrowing.matches = matches;
    MALLARD_TRY_ASSIGN(auto page, read_page(impl_->documents, domain_aliases_collection(),
                                            {.index = "domainalias", .key = "alias"}, request, narrowing));
    Page<DomainAlias> aliases{.results = {}, .total = page.total, .next = page.next, .previous = page.previous};
    for (auto const& document : page.results) aliases.results.push_back(alias_from(document));
    return aliases;
}

Result<bool> Accounts::erase_domain_alias(ObjectId id) {
    auto erased = impl_->documents.erase(domain_aliases_collection(), id);
    impl_->resolved.drop_all();
    return erased;
}

// What stands in the way is found before anything is changed. A renaming that was cut off can be repeated.
Result<Accounts::DomainRenamed> Accounts::rename_domain(std::string const& from, std::string const& to) {
    auto& self = *impl_;
    std::string const before = "@" + normalize_domain(from), after = "@" + normalize_domain(to);
    DomainRenamed renamed;
    if (before == after) return renamed;
    auto const moved = [&](std::string_view address) {
        return std::string(address.substr(0, address.size() - before.size())).append(after);
    };
    std::vector<Document> rows;
    MALLARD_TRY(for_each(self.documents, addresses_collection(), {.index = "address_dotless", .key = "addrview"},
                         [&](Document const& row) -> Result<void> {
                             if (row.text("address").ends_with(before)) rows.push_back(row);
                             return {};
                         }));
    for (auto const& row : rows) {
        auto const address = moved(row.text("address"));
        MALLARD_TRY_ASSIGN(auto const taken, self.address_row(uview(address)));
        if (taken)
            return fail(ErrorKind::already_exists, "The address " + address + " already exists", "address_dotless");
    }
    MALLARD_TRY(self.remember_domain(after));
    for (auto const& row : rows) {
        std::string const was(row.text("address")), is = moved(was);
        auto const updated = self.documents.update(addresses_collection(), row.id("_id").value(),
                                                   {.set = {{"address", is}, {"addrview", uview(is)}}});
        if (!updated && updated.error().kind == ErrorKind::not_found) continue;  // deleted meanwhile
        if (!updated) return std::unexpected(updated.error());
        ++renamed.addresses;
        auto const user = row.id("user");
        if (!user) continue;
        auto const main = self.update_user(UserId(*user), {.set = {{"address", is}}, .expect = {{"address", was}}});
        if (main) ++renamed.users;
        if (!main && main.error().kind != ErrorKind::conflict && main.error().kind != ErrorKind::not_found)
            return std::unexpected(main.error());
    }
    MALLARD_TRY_ASSIGN(auto const aliases,
                       self.documents.find(domain_aliases_collection(),
                                           {.index = "domainlist", .equals = {before.substr(1)}, .limit = 100'000}));
    for (auto const& alias : aliases) {
        MALLARD_TRY(self.documents.update(domain_aliases_collection(), alias.id("_id").value(),
                                          {.set = {{"domain", after.substr(1)}}}));
        ++renamed.aliases;
    }
    MALLARD_TRY_ASSIGN(auto const key, self.documents.find_one(
                                           dkim_collection(), {.index = "dkim_primary", .equals = {before.substr(1)}}));
    if (key) {
        MALLARD_TRY(
            self.documents.update(dkim_collection(), key->id("_id").value(), {.set = {{"domain", after.substr(1)}}}));
        ++renamed.dkim;
    }
    self.resolved.drop_all();
    return renamed;
}

}  // namespace mallard::accounts
