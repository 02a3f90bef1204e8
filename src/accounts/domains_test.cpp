#include "accounts/test_backend.hpp"

namespace mallard::accounts {
namespace {

TEST(DomainAliases, AreListedFoundAndErased) {
    TestBackend backend;
    for (auto const* alias : {"b.example", "A.example", "c.example"})
        ASSERT_TRUE(backend.accounts.add_domain_alias(alias, "example.com"));
    auto const page = backend.accounts.list_domain_aliases({.limit = 2}).value();
    ASSERT_EQ(page.results.size(), 2u);
    EXPECT_EQ(page.total, 3u);
    EXPECT_EQ(page.results[0].alias, "a.example");
    auto const rest = backend.accounts.list_domain_aliases({.limit = 2, .cursor = *page.next}).value();
    ASSERT_EQ(rest.results.size(), 1u);
    EXPECT_EQ(rest.results[0].alias, "c.example");
    EXPECT_EQ(backend.accounts.list_domain_aliases({.query = "b.ex"})->total, 1u);
    EXPECT_EQ(backend.accounts.list_domain_aliases({.query = "example.com"})->total, 3u);
    auto const found = backend.accounts.find_domain_alias("B.EXAMPLE").value();
    ASSERT_TRUE(found);
    EXPECT_EQ(backend.accounts.domain_alias(found->id).value()->domain, "example.com");

    auto const user = backend.add_user("owner");
    EXPECT_EQ(backend.accounts.resolve("owner@b.example", false).value()->user, user.id);
    EXPECT_TRUE(backend.accounts.erase_domain_alias(found->id).value());
    EXPECT_FALSE(backend.accounts.erase_domain_alias(found->id).value());
    EXPECT_FALSE(backend.accounts.resolve("owner@b.example", false).value());
}

TEST(RenamedDomain, TakesAddressesUsersAndAliasesAlong) {
    TestBackend backend;
    auto const user = backend.add_user("owner");
    ASSERT_TRUE(backend.accounts.add_address(user.id, "*@example.com", "", {}, "", "", false, true));
    ASSERT_TRUE(backend.accounts.add_address(user.id, "own.er@sub.example.com", "", {}, "", "", false, false));
    ASSERT_TRUE(backend.accounts.add_forwarded({.address = "forward@example.com"}, false));
    ASSERT_TRUE(backend.accounts.add_domain_alias("alias.example", "example.com"));
    auto const renamed = backend.accounts.rename_domain("Example.COM", "new.example");
    ASSERT_TRUE(renamed) << renamed.error().message;
    EXPECT_EQ(renamed->addresses, 3u);
    EXPECT_EQ(renamed->users, 1u);
    EXPECT_EQ(renamed->aliases, 1u);
    EXPECT_EQ(renamed->dkim, 0u);
    EXPECT_EQ(backend.accounts.get(user.id).value()->address, "owner@new.example");
    EXPECT_EQ(backend.accounts.resolve("owner@new.example", false).value()->user, user.id);
    EXPECT_EQ(backend.accounts.resolve("owner@alias.example", false).value()->user, user.id);
    EXPECT_FALSE(backend.accounts.resolve("any@example.com", true).value());
    EXPECT_EQ(backend.accounts.resolve("own.er@sub.example.com", false).value()->address.address,
              "own.er@sub.example.com");
    EXPECT_EQ(backend.accounts.rename_domain("example.com", "new.example")->addresses, 0u);
}

TEST(RenamedDomain, ChangesNothingWhenAnAddressIsTakenThere) {
    TestBackend backend;
    auto const user = backend.add_user("owner");
    ASSERT_TRUE(backend.accounts.add_address(user.id, "ow.ner@new.example", "", {}, "", "", false, false));
    EXPECT_EQ(kind_of(backend.accounts.rename_domain("example.com", "new.example")), ErrorKind::already_exists);
    EXPECT_EQ(backend.accounts.get(user.id).value()->address, "owner@example.com");
    EXPECT_TRUE(backend.accounts.resolve("owner@example.com", false).value());
}

TEST(ForwardedAddresses, KeepWhatTheyAreGiven) {
    TestBackend backend;
    auto const user = backend.add_user("local");
    Address wanted;
    wanted.address = "Info@example.com";
    wanted.targets = {{.id = {}, .type = "mail", .value = "local@example.com", .user = {}},
                      {.id = {}, .type = "relay", .value = "smtp://mx.example:25", .user = {}}};
    wanted.autoreply = {
        .status = true, .start = 5000, .end = {}, .name = "", .subject = "Away", .text = "T", .html = ""};
    auto const added = backend.accounts.add_forwarded(wanted, false);
    ASSERT_TRUE(added) << added.error().message;
    auto const stored = backend.accounts.address(added->id).value();
    ASSERT_TRUE(stored);
    EXPECT_TRUE(stored->user.is_nil());
    EXPECT_EQ(stored->targets.size(), 2u);
    EXPECT_EQ(stored->targets[0].user, user.id);
    EXPECT_EQ(stored->autoreply.start, 5000);
    EXPECT_EQ(stored->autoreply.subject, "Away");
    EXPECT_EQ(kind_of(backend.accounts.add_forwarded({.address = "in.fo@example.com"}, false)),
              ErrorKind::already_exists);
    wanted.address = "loop@example.com";
    wanted.targets = {{.id = {}, .type = "mail", .value = "loop+x@example.com", .user = {}}};
    EXPECT_EQ(kind_of(backend.accounts.add_forwarded(wanted, false)), ErrorKind::invalid);
    EXPECT_EQ(kind_of(backend.accounts.add_forwarded({.address = "*@example.com"}, false)), ErrorKind::invalid);
    EXPECT_TRUE(backend.accounts.add_forwarded({.address = "*@example.com"}, true));

    ASSERT_TRUE(backend.accounts.update_forwarded(added->id, {.address = "info2@example.com", .disabled = true}));
    EXPECT_TRUE(backend.accounts.address(added->id).value()->forwarded_disabled);
    EXPECT_TRUE(backend.accounts.resolve("info2@example.com", false).value());
    ASSERT_TRUE(backend.accounts.erase_forwarded(added->id));
    auto const own = backend.accounts.addresses(user.id)->front().id;
    EXPECT_EQ(kind_of(backend.accounts.erase_forwarded(own)), ErrorKind::not_found);
}

TEST(TemporaryPassword, WorksForADayForTheMasterScopeAlone) {
    TestBackend backend;
    auto const user = backend.add_user("forgot");
    auto const password = backend.accounts.reset_password(user.id, backend.clock.now() + 1000).value();
    EXPECT_EQ(password.size(), 12u);
    auto const log_in = [&](Scope scope) { return backend.log_in("forgot", password, scope); };
    EXPECT_EQ(log_in(Scope::master).error().context, "TempPasswordNotYetValid");
    backend.clock.advance(1000);
    EXPECT_EQ(log_in(Scope::master)->source, "temporary");
    EXPECT_EQ(kind_of(log_in(Scope::imap)), ErrorKind::scope_denied);
    EXPECT_TRUE(backend.log_in("forgot", "secret"));  // the old one goes on
    ASSERT_TRUE(backend.accounts.update(user.id, {.password = "new"}));
    EXPECT_FALSE(log_in(Scope::master));
    EXPECT_EQ(kind_of(backend.accounts.reset_password(UserId::generate(), 0)), ErrorKind::not_found);
}

TEST(RequiredPasswordChange, MakesTheFirstPasswordATemporaryOne) {
    TestBackend backend;
    auto const user =
        backend.accounts.create({.username = "fresh", .password = "first", .require_password_change = true});
    ASSERT_TRUE(user) << user.error().message;
    EXPECT_TRUE(user->has_password_set);
    EXPECT_EQ(backend.log_in("fresh", "first", Scope::master)->source, "temporary");
    EXPECT_EQ(kind_of(backend.log_in("fresh", "first", Scope::imap)), ErrorKind::scope_denied);
    ASSERT_TRUE(backend.accounts.update(user->id, {.password = "second"}));
    EXPECT_EQ(backend.log_in("fresh", "second", Scope::master)->source, "master");
    EXPECT_TRUE(backend.log_in("fresh", "second", Scope::imap));
    EXPECT_FALSE(backend.log_in("fresh", "first", Scope::master));
}

}  // namespace
}  // namespace mallard::accounts
