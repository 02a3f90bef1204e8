// Addresses: which user (or forward) an address leads to, and their upkeep.

#include <algorithm>
#include <unordered_map>

#include "accounts/accounts_impl.hpp"
#include "accounts/normalize.hpp"
#include "accounts/paging.hpp"

namespace mallard::accounts {

using bson::Document;

namespace {

constexpr std::size_t wildcard_letters_max = 32;
constexpr std::size_t addresses_per_user_max = 100'000;

// storage.md §16.2 step 5: wildcards that cover local@domain, the longest first; the prefix form before the suffix
// form.
std::vector<std::string> wildcard_candidates(std::string_view local, std::string_view domain) {
    std::vector<std::string> candidates;
    for (std::size_t n = std::min(local.size(), wildcard_letters_max); n > 0; --n) {
        candidates.push_back(std::string(local.substr(0, n)).append("*@").append(domain));
        candidates.push_back("*" + std::string(local.substr(local.size() - n)).append("@").append(domain));
    }
    candidates.push_back("*@" + std::string(domain));
    return candidates;
}

// The error of a write of an address.
Error of_address(Error error) { return error.kind == ErrorKind::already_exists ? address_taken().error() : error; }

// storage.md §16.5: which wildcard forms an address may have.
Result<void> check_wildcard(std::string_view address, bool main, bool allowed) {
    if (std::ranges::count(address, '*') == 0) return {};
    if (!allowed || main) return fail(ErrorKind::invalid, "Address can not contain *");
    auto const refused = fail(ErrorKind::invalid, "Wildcards are allowed as *@domain, *suffix@domain and user@*");
    if (std::ranges::count(address, '*') != 1) return refused;
    auto const at = address.rfind('@');
    auto const local = address.substr(0, at);
    if (address.substr(at + 1) == "*") return local.empty() ? Result<void>(refused) : Result<void>();
    bool const leading = local.starts_with('*') && local.size() <= wildcard_letters_max + 1;
    bool const trailing = local.ends_with('*') && local.size() <= wildcard_letters_max + 1;
    if (!leading && !trailing) return refused;
    return {};
}

}  // namespace

Result<void> check_address(std::string_view normal, bool main, bool wildcard) {
    if (normal.contains('+')) return fail(ErrorKind::invalid, "Address can not contain +");
    if (normal.starts_with('@') || normal.ends_with('@') || !normal.contains('@'))
        return fail(ErrorKind::invalid, "This is not an address: " + std::string(normal));
    return check_wildcard(normal, main, wildcard);
}

std::unexpected<Error> address_taken() {
    return fail(ErrorKind::already_exists, "This address already exists", "address_dotless");
}

Result<std::optional<Document>> Accounts::Impl::address_row(std::string_view addrview) const {
    return documents.find_one(addresses_collection(), {.index = "address_dotless", .equals = {addrview}});
}

// The row of the first candidate that has one, in one look-up.
Result<std::optional<Document>> Accounts::Impl::first_address_row(std::vector<std::string> const& candidates) const {
    if (candidates.empty()) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto rows,
                       documents.find(addresses_collection(),
                                      {.index = "address_dotless", .any_of = {candidates.begin(), candidates.end()}}));
    for (auto const& candidate : candidates)
        for (auto& row : rows)
            if (row.text("addrview") == candidate) return std::move(row);
    return std::nullopt;
}

// The steps of storage.md §16.2, each tried until one finds a row. `view`: step 1.
Result<std::optional<store::Joined>> Accounts::Impl::look_up(std::string_view view, bool wildcards) const {
    auto const at = view.rfind('@');
    auto const local = view.substr(0, at);
    auto const domain = view.substr(at + 1);
    if (local.empty() || domain.empty()) return std::nullopt;

    MALLARD_TRY_ASSIGN(auto exact,
                       documents.find_joined(addresses_collection(), {.index = "address_dotless", .equals = {view}},
                                             "user", users_collection()));
    if (exact) return exact;
    MALLARD_TRY_ASSIGN(auto const alias,
                       documents.find_one(domain_aliases_collection(), {.index = "domainalias", .equals = {domain}}));
    std::string const target(alias ? alias->text("domain") : std::string_view());
    std::vector<std::string> candidates;
    if (!target.empty()) candidates.push_back(std::string(local).append("@").append(target));
    if (wildcards) {
        std::ranges::move(wildcard_candidates(local, domain), std::back_inserter(candidates));
        if (!target.empty()) std::ranges::move(wildcard_candidates(local, target), std::back_inserter(candidates));
        candidates.push_back(std::string(local) + "@*");
    }
    MALLARD_TRY_ASSIGN(auto row, first_address_row(candidates));
    if (!row) return std::nullopt;
    store::Joined found{.document = std::move(*row), .other = {}};
    if (auto const user = found.document.id("user")) {
        MALLARD_TRY_ASSIGN(found.other, user_document(UserId(*user)));
    }
    return found;
}

Result<std::optional<Accounts::Resolved>> Accounts::resolve(std::string_view address, bool wildcards) const {
    auto const& self = *impl_;
    TimeMs const now = self.clock.now();
    // Step 1; the cache knows an address by what it is looked up by.
    std::string const view = normalize_address(address, true, true);
    std::string const cache_key = view + (wildcards ? "*" : "");
    if (auto const cached = self.resolved.find(cache_key, now)) return *cached;
    auto const ticket = self.resolved.ticket(cache_key);
    MALLARD_TRY_ASSIGN(auto const row, self.look_up(view, wildcards));
    if (!row) return std::nullopt;
    auto found = std::make_shared<Resolved>();
    found->address = address_from(row->document);
    found->address.main = row->other && row->other->text("address") == found->address.address;
    if (!found->address.user.is_nil()) found->user = found->address.user;
    self.resolved.put(cache_key, found, now, ticket);
    return *found;
}

Result<std::optional<Accounts::Receiver>> Accounts::receiver(std::string_view address, bool wildcards) const {
    auto const& self = *impl_;
    if (self.documents.changes_elsewhere()) {  // what a cache says of who may receive is not good enough
        MALLARD_TRY_ASSIGN(auto const row, self.look_up(normalize_address(address, true, true), wildcards));
        if (!row || !row->other) return std::nullopt;
        MALLARD_TRY_ASSIGN(auto const used, self.mail.storage_used_by(*row->other));
        return Receiver{.user = user_from(*row->other), .storage_used = used};
    }
    MALLARD_TRY_ASSIGN(auto const resolved, resolve(address, wildcards));
    if (!resolved || !resolved->user) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto user, get(*resolved->user));
    if (!user) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto const used, self.mail.storage_used(user->id));
    return Receiver{.user = std::move(*user), .storage_used = used};
}

std::optional<UserId> Accounts::at_hand(std::string_view address, bool wildcards) const {
    if (impl_->documents.changes_elsewhere()) return std::nullopt;
    TimeMs const now = impl_->clock.now();
    auto const found = impl_->resolved.find(normalize_address(address, true, true) + (wildcards ? "*" : ""), now);
    if (!found || !found->user || !impl_->users.find(*found->user, now)) return std::nullopt;
    return found->user;
}

Result<Address> Accounts::Impl::with_main(Address address) const {
    if (address.user.is_nil()) return address;
    MALLARD_TRY_ASSIGN(auto const user, user_document(address.user));
    address.main = user && user->text("address") == address.address;
    return address;
}

// The same for many, in one look-up.
Result<void> Accounts::Impl::mark_mains(std::vector<Address>& addresses) const {
    std::vector<bson::Value> ids;
    for (auto const& address : addresses)
        if (!address.user.is_nil()) ids.emplace_back(address.user);
    if (ids.empty()) return {};
    MALLARD_TRY_ASSIGN(auto const users, documents.find(users_collection(), {.any_of = ids, .limit = ids.size()}));
    std::unordered_map<ObjectId, std::string> mains;
    for (auto const& user : users) mains.emplace(user.id("_id").value_or(ObjectId()), user.text("address"));
    for (auto& address : addresses)
        if (auto const main = mains.find(address.user); main != mains.end())
            address.main = main->second == address.address;
    return {};
}

// Whether the user's main address has no row.
Result<bool> Accounts::Impl::main_is_lost(UserId user) const {
    MALLARD_TRY_ASSIGN(auto const document, user_document(user));
    if (!document || document->text("address").empty()) return false;
    MALLARD_TRY_ASSIGN(auto const row, address_row(uview(document->text("address"))));
    return !row;
}

// The domains that receive mail here (storage.md §3.4); never forgotten.
Result<void> Accounts::Impl::remember_domain(std::string_view address) {
    std::string const domain(address.substr(address.rfind('@') + 1));
    if (domain.contains('*')) return {};
    MALLARD_TRY_ASSIGN(auto const known,
                       documents.find_one(domain_cache_collection(), {.index = "by_domain", .equals = {domain}}));
    if (known) return {};
    auto const added = documents.insert(domain_cache_collection(), {{"_id", ObjectId::generate()}, {"domain", domain}});
    if (!added && added.error().kind != ErrorKind::already_exists) return added;
    return {};
}

Result<Address> Accounts::Impl::insert_address(Address address) {
    address.id = AddressId::generate();
    auto const inserted = documents.insert(addresses_collection(), address_document(address));
    resolved.drop_all();
    if (!inserted) return std::unexpected(of_address(inserted.error()));
    if (auto const remembered = remember_domain(address.address); !remembered) {
        (void)documents.erase(addresses_collection(), address.id);
        resolved.drop_all();
        return std::unexpected(remembered.error());
    }
    return address;
}

Result<Document> Accounts::Impl::update_address(AddressId id, store::Update const& update) {
    auto updated = documents.update(addresses_collection(), id, update);
    resolved.drop_all();
    if (!updated) return std::unexpected(of_address(updated.error()));
    return updated;
}

Result<Address> Accounts::add_address(UserId user, std::string const& address, std::string const& name,
                                      std::vector<std::string> const& tags, std::string const& meta_data,
                                      std::string const& internal_data, bool main, bool allow_wildcard) {
    auto& self = *impl_;
    auto const normal = normalize_address(address, false, false);
    MALLARD_TRY(check_address(normal, main, allow_wildcard));
    MALLARD_TRY_ASSIGN(auto const owner, self.user_document(user));
    if (!owner) return fail(ErrorKind::not_found, "This user does not exist");
    MALLARD_TRY_ASSIGN(auto added, self.insert_address({.address = normal,
                                                        .addrview = uview(normal),
                                                        .name = name,
                                                        .user = user,
                                                        .tags = normal_tags(tags),
                                                        .meta_data = meta_data,
                                                        .internal_data = internal_data,
                                                        .created = self.clock.now()}));
    if (main || (owner->text("address").empty() && !normal.contains('*'))) {
        auto const updated = self.update_user(user, {.set = {{"address", normal}}});
        self.resolved.drop_all();
        if (!updated) {
            (void)self.documents.erase(addresses_collection(), added.id);
            self.resolved.drop_all();
            return std::unexpected(updated.error());
        }
        added.main = true;
        return added;
    }
    // A user deleted meanwhile took the addresses that were there: this one goes too.
    MALLARD_TRY_ASSIGN(auto const still, self.user_document(user));
    if (still) return added;
    MALLARD_TRY(self.documents.erase(addresses_collection(), added.id));
    self.resolved.drop_all();
    return fail(ErrorKind::not_found, "This user does not exist");
}

Result<Address> Accounts::update_address(UserId user, AddressId id, AddressPatch const& patch) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const before, address(id));
    if (!before || before->user != user) return fail(ErrorKind::not_found, "Invalid or unknown address");
    store::Update update;
    bool const wildcard = before->address.contains('*');
    std::string normal = before->address;
    if (patch.main && !*patch.main)
        return fail(ErrorKind::invalid, "The main address can not be unset, only another one be made it");
    if (patch.address) {
        normal = normalize_address(*patch.address, false, false);
        if (normal != before->address) {
            if (wildcard || normal.contains('*'))
                return fail(ErrorKind::invalid, "A wildcard address can not be renamed");
            MALLARD_TRY(check_address(normal, false, false));
            update.set.emplace_back("address", normal);
            update.set.emplace_back("addrview", uview(normal));
        }
    }
    if (patch.main && wildcard) return fail(ErrorKind::invalid, "A wildcard address can not be the main address");
    if (patch.name) update.set.emplace_back("name", *patch.name);
    if (patch.meta_data) update.set.emplace_back("metaData", *patch.meta_data);
    if (patch.internal_data) update.set.emplace_back("internalData", *patch.internal_data);
    if (patch.tags) set_tags(update, *patch.tags);
    MALLARD_TRY_ASSIGN(auto const updated, self.update_address(id, update));
    bool const renamed = normal != before->address;
    if (renamed) MALLARD_TRY(self.remember_domain(normal));
    // A rename of the main address that was cut off in the middle is completed by its repetition.
    MALLARD_TRY_ASSIGN(bool const main_is_lost, self.main_is_lost(user));
    if (patch.main || (before->main && renamed) || (patch.address && main_is_lost)) {
        auto const told = self.update_user(user, {.set = {{"address", normal}}});
        if (!told && renamed)
            (void)self.documents.update(addresses_collection(), id,
                                        {.set = {{"address", before->address}, {"addrview", uview(before->address)}}});
        self.resolved.drop_all();
        if (!told) return std::unexpected(told.error());
    }
    return self.with_main(address_from(updated));
}

Result<void> Accounts::erase_address(UserId user, AddressId id) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const found, address(id));
    if (!found || found->user != user) return fail(ErrorKind::not_found, "Invalid or unknown address");
    if (found->main) return fail(ErrorKind::denied, "Can not delete the main address");
    auto const erased = self.documents.erase(addresses_collection(), id);
    self.resolved.drop_all();
    if (!erased) return std::unexpected(erased.error());
    return {};
}

Result<std::vector<Address>> Accounts::addresses(UserId user) const {
    MALLARD_TRY_ASSIGN(auto const owner, impl_->user_document(user));
    MALLARD_TRY_ASSIGN(auto const rows,
                       impl_->documents.find(addresses_collection(),
                                             {.index = "user", .equals = {user}, .limit = addresses_per_user_max}));
    std::vector<Address> found;
    found.reserve(rows.size());
    for (auto const& row : rows) {
        found.push_back(address_from(row));
        found.back().main = owner && owner->text("address") == found.back().address;
    }
    std::ranges::sort(found, {}, &Address::addrview);
    return found;
}

Result<std::optional<Address>> Accounts::address(AddressId id) const {
    MALLARD_TRY_ASSIGN(auto const row, impl_->documents.get(addresses_collection(), id));
    if (!row) return std::nullopt;
    MALLARD_TRY_ASSIGN(auto found, impl_->with_main(address_from(*row)));
    return found;
}

Result<Page<Address>> Accounts::list_addresses(ListRequest const& request) const {
    auto const matches = [&](Document const& document) {
        if (request.user && document.id("user") != *request.user) return false;
        return has_tags(document, request) && forwards_there(document, request) &&
               (request.query.empty() || document.text("address").contains(request.query));
    };
    bool const filtered = request.user || !request.query.empty() || !request.tags.empty() ||
                          !request.required_tags.empty() || !request.forward.empty();
    PageOrder const order{.index = "address_dotless", .key = "addrview"};
    Narrowing narrowing{.tags_index = "address_tags"};
    if (filtered) narrowing.matches = matches;
    if (request.user) narrowing.found = Found{"user", {*request.user}};
    MALLARD_TRY_ASSIGN(auto page, read_page(impl_->documents, addresses_collection(), order, request, narrowing));
    Page<Address> addresses{.results = {}, .total = page.total, .next = page.next, .previous = page.previous};
    for (auto const& document : page.results) addresses.results.push_back(address_from(document));
    MALLARD_TRY(impl_->mark_mains(addresses.results));
    return addresses;
}

}  // namespace mallard::accounts
