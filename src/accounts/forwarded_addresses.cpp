// Addresses that belong to no user: what comes for them goes on to their targets (api.md §13).

#include <algorithm>

#include "accounts/accounts_impl.hpp"
#include "accounts/normalize.hpp"

namespace mallard::accounts {

namespace {

// A target that is a user's address here remembers that user.
Result<void> settle_targets(Accounts const& accounts, std::string const& own, std::vector<Target>& targets) {
    for (auto& target : targets) {
        if (target.id.is_nil()) target.id = ObjectId::generate();
        if (target.type != "mail") continue;
        if (normalize_address(target.value, true, true) == uview(own))
            return fail(ErrorKind::invalid, "An address can not be forwarded to itself: " + own);
        MALLARD_TRY_ASSIGN(auto const local, accounts.resolve(target.value, false));
        if (local && local->user) target.user = *local->user;
    }
    return {};
}

}  // namespace

Result<Address> Accounts::add_forwarded(Address wanted, bool allow_wildcard) {
    wanted.address = normalize_address(wanted.address, false, false);
    MALLARD_TRY(check_address(wanted.address, false, allow_wildcard));
    wanted.user = UserId{};
    wanted.addrview = uview(wanted.address);
    wanted.tags = normal_tags(wanted.tags);
    wanted.created = impl_->clock.now();
    MALLARD_TRY(settle_targets(*this, wanted.address, wanted.targets));
    return impl_->insert_address(std::move(wanted));
}

Result<Address> Accounts::update_forwarded(AddressId id, ForwardedPatch const& patch) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const before, address(id));
    if (!before || !before->user.is_nil()) return fail(ErrorKind::not_found, "Invalid or unknown address");
    store::Update update;
    std::string normal = before->address;
    if (patch.address) {
        normal = normalize_address(*patch.address, false, false);
        MALLARD_TRY(check_address(normal, false, false));
        if (before->address.contains('*') && normal != before->address)
            return fail(ErrorKind::invalid, "A wildcard address can not be renamed");
        update.set.emplace_back("address", normal);
        update.set.emplace_back("addrview", uview(normal));
    }
    auto const set_text = [&](char const* field, std::optional<std::string> const& value) {
        if (value) update.set.emplace_back(field, *value);
    };
    set_text("name", patch.name);
    set_text("metaData", patch.meta_data);
    set_text("internalData", patch.internal_data);
    if (patch.forwards) update.set.emplace_back("forwards", bson::number(*patch.forwards));
    if (patch.disabled) update.set.emplace_back("forwardedDisabled", *patch.disabled);
    if (patch.autoreply) update.set.emplace_back("autoreply", autoreply_document(*patch.autoreply));
    if (patch.targets) {
        auto targets = *patch.targets;
        MALLARD_TRY(settle_targets(*this, normal, targets));
        update.set.emplace_back("targets", to_array(targets));
    }
    if (patch.tags) set_tags(update, *patch.tags);
    MALLARD_TRY_ASSIGN(auto const updated, self.update_address(id, update));
    if (normal != before->address) MALLARD_TRY(self.remember_domain(normal));
    if (patch.forwards) MALLARD_TRY(self.state.erase("wdf:" + id.hex()));
    return address_from(updated);
}

Result<void> Accounts::erase_forwarded(AddressId id) {
    auto& self = *impl_;
    MALLARD_TRY_ASSIGN(auto const found, address(id));
    if (!found || !found->user.is_nil()) return fail(ErrorKind::not_found, "Invalid or unknown address");
    auto const erased = self.documents.erase(addresses_collection(), id);
    self.resolved.drop_all();
    if (!erased) return std::unexpected(erased.error());
    return {};
}

}  // namespace mallard::accounts
