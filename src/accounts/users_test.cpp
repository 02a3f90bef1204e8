#include <thread>

#include "accounts/entities.hpp"
#include "accounts/test_backend.hpp"
#include "base/encoding.hpp"

namespace mallard::accounts {
namespace {

TEST(CreateUser, MakesAUserWithAddressAndFolders) {
    TestBackend backend;
    auto const user = backend.accounts.create({.username = "Ada.Lovelace",
                                               .password = "secret",
                                               .name = "Ada",
                                               .language = "de_AT",
                                               .tags = {" b ", "A", "B"},
                                               .limits = {.quota = 5'000'000'000}});
    ASSERT_TRUE(user) << user.error().message;
    EXPECT_EQ(user->username, "ada.lovelace");
    EXPECT_EQ(user->unameview, "adalovelace");
    EXPECT_EQ(user->address, "ada.lovelace@example.com");
    EXPECT_EQ(user->tags, (std::vector<std::string>{"A", "b"}));
    EXPECT_TRUE(user->activated);
    EXPECT_FALSE(user->disabled);
    EXPECT_TRUE(user->has_password_set);
    EXPECT_EQ(backend.accounts.quota_of(*user), 5'000'000'000);
    std::string folders;
    for (auto const& mailbox : *backend.mail.mailboxes(user->id))
        folders += mailbox.path + "=" + mailbox.special_use + ":" + std::to_string(mailbox.retention_ms) + " ";
    EXPECT_EQ(folders,
              "INBOX=:0 Gesendet=\\Sent:0 Gelöscht=\\Trash:2592000000 Entwürfe=\\Drafts:0 Spam=\\Junk:2592000000 ");
    auto const resolved = backend.accounts.resolve("AdaLovelace+x@EXAMPLE.com", false);
    ASSERT_TRUE(*resolved);
    EXPECT_EQ((*resolved)->user, user->id);
    EXPECT_TRUE((*resolved)->address.main);
}

TEST(CreateUser, StoresTheFieldsOfWildDuck) {
    TestBackend backend;
    auto const user = backend.add_user("ada");
    auto const document = *backend.documents.get(users_collection(), user.id);
    ASSERT_TRUE(document);
    std::string names;
    for (auto const& field : document->fields()) names += field.key + " ";
    EXPECT_EQ(
        names,
        "_id username unameview name password enabled2fa seed pendingSeed pendingSeedChanged webauthn authVersion "
        "address language storageUsed quota recipients forwards filters imapMaxUpload imapMaxDownload "
        "pop3MaxDownload pop3MaxMessages imapMaxConnections receivedMax targets autoreply uploadSentMessages "
        "pubKey smimeCerts smimeCipher smimeKeyTransport encryptMessages encryptForwarded spamLevel retention "
        "disabledScopes require2faEnabled lastLogin metaData "
        "internalData activated disabled suspended featureFlags created ");
    EXPECT_TRUE(document->find("name")->is_null());
    EXPECT_NE(document->find("spamLevel")->as<std::int32_t>(), nullptr);
}

TEST(CreateUser, ChoosesTheAddress) {
    TestBackend backend;
    auto const address = [&](NewUser const& user) {
        auto const made = backend.accounts.create(user);
        return made ? made->address : made.error().message;
    };
    EXPECT_EQ(address({.username = "a@b.example", .no_password = true}), "a@b.example");
    EXPECT_EQ(address({.username = "c@nodots", .no_password = true}), "c@example.com");
    EXPECT_EQ(address({.username = "d", .no_password = true, .empty_address = true}), "");
    EXPECT_EQ(address({.username = "e", .no_password = true, .address = "Eve.X+label@B.example"}), "eve.x@b.example");
    EXPECT_EQ(kind_of(backend.accounts.create({.username = "f", .address = "*@b.example"})), ErrorKind::invalid);
    EXPECT_EQ(kind_of(backend.accounts.create({.username = "f", .address = "@b.example"})), ErrorKind::invalid);
    EXPECT_EQ(kind_of(backend.accounts.create({.username = "no blanks"})), ErrorKind::invalid);
    EXPECT_EQ(kind_of(backend.accounts.create({.username = "f", .password = "x", .hashed_password = true})),
              ErrorKind::invalid);
}

TEST(CreateUser, RefusesNamesAndAddressesThatAreTakenAndLeavesNothing) {
    TestBackend backend;
    backend.add_user("ada.lovelace");
    auto const name = backend.accounts.create({.username = "adalovelace", .address = "other@example.com"});
    ASSERT_EQ(kind_of(name), ErrorKind::already_exists);
    EXPECT_EQ(name.error().context, "users_dotless");
    auto const address = backend.accounts.create({.username = "bob", .address = "ada.love.lace@example.com"});
    ASSERT_EQ(kind_of(address), ErrorKind::already_exists);
    EXPECT_EQ(address.error().context, "address_dotless");
    EXPECT_FALSE(*backend.accounts.find_by_username("bob"));
    EXPECT_FALSE(*backend.accounts.resolve("other@example.com", true));
    EXPECT_EQ(backend.mail.users(), 1u);
    backend.add_user("bob");
}

TEST(CreateUser, LetsExactlyOneOfManyHaveTheName) {
    TestBackend backend;
    std::atomic<int> made = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 8; ++t)
        threads.emplace_back([&] {
            auto const user = backend.accounts.create({.username = "ada", .password = "secret"});
            if (user)
                ++made;
            else
                EXPECT_EQ(user.error().kind, ErrorKind::already_exists);
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(made, 1);
    EXPECT_EQ(backend.mail.users(), 1u);
    EXPECT_EQ(backend.accounts.list({})->total, 1u);
    EXPECT_TRUE(backend.log_in("ada", "secret"));
}

TEST(CreateUser, TakesBackWhatItMadeWhenTheMailStoreFails) {
    TestBackend backend;
    backend.mail.broken = true;
    EXPECT_EQ(kind_of(backend.accounts.create({.username = "ada", .password = "secret"})), ErrorKind::io);
    EXPECT_EQ(backend.accounts.list({})->total, 0u);
    backend.mail.broken = false;
    backend.add_user("ada");
}

TEST(CreateUser, IsWholeOrNotThereWhateverWriteFails) {
    for (int fail_at = 1;; ++fail_at) {
        SCOPED_TRACE(fail_at);
        auto const memory = kv::new_memory_state();
        bool made = false;
        bool fired = false;
        {
            TestBackend backend(TestBackend::quick(), fail_at, memory);
            made = backend.opened && backend.accounts.create({.username = "ada", .password = "secret"}).has_value();
            fired = backend.faulty->fired();
        }
        TestBackend reopened(TestBackend::quick(), 0, memory);
        ASSERT_TRUE(reopened.opened);
        auto const found = *reopened.accounts.find_by_username("ada");
        if (made) {
            ASSERT_TRUE(found);
            EXPECT_TRUE(reopened.log_in("ada", "secret"));
            EXPECT_TRUE(*reopened.accounts.resolve("ada@example.com", false));
        } else if (!found || !found->activated) {
            EXPECT_EQ(kind_of(reopened.log_in("ada", "secret")), ErrorKind::auth_failed);
            reopened.clock.advance(200'000);
            reopened.add_user("ada", "other");
            EXPECT_TRUE(reopened.log_in("ada", "other"));
        }
        if (!fired) break;
        ASSERT_LT(fail_at, 100);
    }
}

TEST(GetUser, SeesEveryChangeAtOnce) {
    TestBackend backend;
    auto const user = backend.add_user("ada");
    EXPECT_EQ((*backend.accounts.get(user.id))->name, "");
    auto const updated = backend.accounts.update(user.id, {.name = "Ada", .tags = {{"x", "X", "y"}}, .quota = 7});
    ASSERT_TRUE(updated);
    EXPECT_EQ(updated->name, "Ada");
    auto const read = *backend.accounts.get(user.id);
    EXPECT_EQ(read->name, "Ada");
    EXPECT_EQ(read->tags, (std::vector<std::string>{"x", "y"}));
    EXPECT_EQ(read->limits.quota, 7);
    ASSERT_TRUE(backend.accounts.erase(user.id));
    EXPECT_FALSE(*backend.accounts.get(user.id));
    EXPECT_EQ(kind_of(backend.accounts.update(user.id, {.name = "x"})), ErrorKind::not_found);
}

TEST(UpdateUser, ChangesThePasswordAndLogsOut) {
    TestBackend backend;
    auto const user = backend.add_user("ada");
    std::string reason;
    auto const subscription = backend.events.subscribe(user.id, [&](store::Event const& e) { reason = e.reason; });
    EXPECT_EQ(kind_of(backend.accounts.update(user.id, {.password = "new", .existing_password = "wrong"})),
              ErrorKind::auth_failed);
    EXPECT_EQ(reason, "");
    ASSERT_TRUE(backend.accounts.update(user.id, {.password = "new", .existing_password = "secret"}));
    EXPECT_EQ(reason, "Authentication required");
    EXPECT_EQ((*backend.accounts.get(user.id))->auth_version, 2);
    EXPECT_FALSE(backend.log_in("ada", "secret"));
    EXPECT_TRUE(backend.log_in("ada", "new"));
    EXPECT_EQ(backend.accounts.check_password(user.id, "new"), true);
    ASSERT_TRUE(backend.accounts.update(user.id, {.password = ""}));
    EXPECT_FALSE((*backend.accounts.get(user.id))->has_password_set);
    EXPECT_FALSE(backend.log_in("ada", "new"));
    EXPECT_FALSE(backend.log_in("ada", ""));
    auto const document = *backend.documents.get(users_collection(), user.id);
    EXPECT_EQ(document->array("oldPasswords")->size(), 2u);
}

TEST(UpdateUser, StartsTheCounterOfAChangedLimitAnew) {
    TestBackend backend;
    auto user = backend.add_user("ada");
    user.limits.imap_max_download = 100;
    ASSERT_TRUE(backend.accounts.use_allowance(user, "idw", 150));
    auto const refused = backend.accounts.use_allowance(user, "idw", 1);
    ASSERT_EQ(kind_of(refused), ErrorKind::rate_limited);
    EXPECT_EQ(refused.error().message, "Download was rate limited. Try again in 24 hours.");
    EXPECT_TRUE(backend.accounts.use_allowance(user, "iup", 1));
    ASSERT_TRUE(backend.accounts.update(user.id, {.imap_max_download = 100}));
    EXPECT_TRUE(backend.accounts.use_allowance(user, "idw", 1));
}

TEST(EraseUser, RemovesAddressesAndMailAndFreesTheName) {
    TestBackend backend;
    auto const user = backend.add_user("ada");
    ASSERT_TRUE(backend.accounts.add_address(user.id, "second@example.com", "", {}, "", "", false, false));
    ASSERT_TRUE(*backend.accounts.resolve("second@example.com", false));
    ASSERT_TRUE(backend.accounts.erase(user.id));
    EXPECT_FALSE(*backend.accounts.resolve("second@example.com", false));
    EXPECT_FALSE(*backend.accounts.resolve("ada@example.com", false));
    EXPECT_EQ(backend.mail.users(), 0u);
    EXPECT_FALSE(backend.log_in("ada", "secret"));
    EXPECT_EQ(kind_of(backend.accounts.erase(user.id)), ErrorKind::not_found);
    backend.add_user("ada");
}

TEST(EraseUser, CanBeRepeatedWhateverWriteFails) {
    for (int fail_at = 1;; ++fail_at) {
        SCOPED_TRACE(fail_at);
        auto const memory = kv::new_memory_state();
        UserId id;
        {
            TestBackend backend(TestBackend::quick(), 0, memory);
            id = backend.add_user("ada").id;
        }
        TestBackend backend(TestBackend::quick(), fail_at, memory);
        bool const erased = backend.accounts.erase(id).has_value();
        TestBackend reopened(TestBackend::quick(), 0, memory);
        auto const left = *reopened.accounts.get(id);
        if (erased) {
            EXPECT_FALSE(left);
        }
        if (left) {
            EXPECT_TRUE(reopened.accounts.erase(id));
        }
        reopened.add_user("ada");
        if (!backend.faulty->fired()) break;
        ASSERT_LT(fail_at, 100);
    }
}

// Of 7 users that the request asks for.
void expect_pages_both_ways(TestBackend& backend, std::vector<std::string> const& made, ListRequest request) {
    std::vector<std::string> seen;
    request.limit = 3;
    std::vector<std::size_t> sizes;
    std::optional<std::string> back;
    for (;;) {
        auto const page = backend.accounts.list(request);
        ASSERT_TRUE(page);
        EXPECT_EQ(page->total, 7u);
        sizes.push_back(page->results.size());
        for (auto const& user : page->results) seen.push_back(user.username);
        EXPECT_EQ(page->previous.has_value(), !request.cursor.empty());
        back = page->previous;
        if (!page->next) break;
        request.cursor = *page->next;
    }
    EXPECT_EQ(seen, made);
    EXPECT_EQ(sizes, (std::vector<std::size_t>{3, 3, 1}));
    request.cursor = *back;
    auto const middle = backend.accounts.list(request);
    ASSERT_TRUE(middle);
    EXPECT_EQ(middle->results.front().username, "user3");
    EXPECT_EQ(middle->results.size(), 3u);
    request.cursor = *middle->previous;
    auto const first = backend.accounts.list(request);
    EXPECT_EQ(first->results.front().username, "user0");
    EXPECT_FALSE(first->previous);
    EXPECT_TRUE(first->next);
    request.cursor = "";
    request.descending = true;
    EXPECT_EQ(backend.accounts.list(request)->results.front().username, "user6");
    request.cursor = *backend.accounts.list(request)->next;
    EXPECT_EQ(backend.accounts.list(request)->results.front().username, "user3");
}

TEST(ListUsers, PagesThroughAllOnceInBothDirections) {
    TestBackend backend;
    std::vector<std::string> made;
    for (int i = 0; i < 7; ++i) made.push_back(backend.add_user("user" + std::to_string(i)).username);
    expect_pages_both_ways(backend, made, {});
    expect_pages_both_ways(backend, made, {.query = "user"});
}

TEST(ListUsers, PagesThroughThoseWithTagsInBothDirections) {
    TestBackend backend;
    std::vector<std::string> made;
    for (int i = 0; i < 7; ++i) {
        made.push_back("user" + std::to_string(i));
        std::vector<std::string> const tags =
            i % 2 ? std::vector<std::string>{"T", "U", "v"} : std::vector<std::string>{"u"};
        ASSERT_TRUE(backend.accounts.create({.username = made.back(), .no_password = true, .tags = tags}));
        backend.add_user("other" + std::to_string(i));
    }
    expect_pages_both_ways(backend, made, {.tags = {"t", "U", "none"}});
    expect_pages_both_ways(backend, made, {.tags = {"v", "t", "u"}, .required_tags = {"u"}});
}

TEST(ListUsers, FiltersByTextAndTags) {
    TestBackend backend;
    for (auto const& [name, tags] :
         {std::pair<std::string, std::vector<std::string>>{"ada.l", {"A", "x"}}, {"bob", {"a"}}, {"eve", {"x"}}})
        ASSERT_TRUE(backend.accounts.create({.username = name, .no_password = true, .tags = tags}));
    auto const names = [&](ListRequest const& request) {
        std::string out;
        auto const page = backend.accounts.list(request);
        for (auto const& user : page->results) out += user.username + " ";
        return out + std::to_string(page->total);
    };
    EXPECT_EQ(names({.query = "dal"}), "ada.l 1");
    EXPECT_EQ(names({.query = "EXAMPLE"}), "ada.l bob eve 3");
    EXPECT_EQ(names({.tags = {"a"}}), "ada.l bob 2");
    EXPECT_EQ(names({.required_tags = {"A", "X"}}), "ada.l 1");
    EXPECT_EQ(names({.query = "nobody"}), "0");
    EXPECT_EQ(names({.query = "b", .tags = {"a"}, .limit = 1}), "bob 1");
}

TEST(ListUsers, RefusesACursorThatIsNoneOfItsOwn) {
    TestBackend backend;
    for (std::string bad : {"x", "n", "nzz", "n00", "q0500000000", "-"})
        EXPECT_EQ(kind_of(backend.accounts.list({.cursor = bad})), ErrorKind::invalid) << bad;
}

TEST(Sessions, AreLimitedPerUserAndService) {
    TestBackend backend;
    auto const user = backend.add_user("ada");
    ASSERT_TRUE(backend.accounts.update(user.id, {.imap_max_connections = 2}));
    EXPECT_TRUE(backend.accounts.session_opened(user.id, "imap"));
    EXPECT_TRUE(backend.accounts.session_opened(user.id, "imap"));
    EXPECT_EQ(kind_of(backend.accounts.session_opened(user.id, "imap")), ErrorKind::limit);
    EXPECT_TRUE(backend.accounts.session_opened(user.id, "pop3"));
    backend.accounts.session_closed(user.id, "imap");
    EXPECT_TRUE(backend.accounts.session_opened(user.id, "imap"));
}

}  // namespace
}  // namespace mallard::accounts
