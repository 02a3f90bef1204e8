#include "mailboxes/mailboxes.hpp"

#include <algorithm>

#include "encryption/test_pgp_keys.hpp"
#include "mailboxes/test_store.hpp"

namespace mallard::mailboxes {
namespace {

class MailboxesTest : public testing::Test {
protected:
    MailboxesTest()
        : accounts_(store_.all().documents(), store_.all().state(), store_.mail(), store_.all().events(), store_.clock,
                    {}),
          mailboxes_(store_.mail(), accounts_, store_.clock, {.mailboxes_max = 12, .message_bytes_max = 10'000}) {
        EXPECT_TRUE(accounts_.open());
        accounts::NewUser fresh{.username = "alice", .no_password = true, .address = "alice@example.com"};
        fresh.limits.quota = 3000;
        auto const made = accounts_.create(fresh);
        EXPECT_TRUE(made) << (made ? "" : made.error().message);
        user_ = made ? made->id : UserId();
    }

    MailboxId make(std::string_view path) {
        auto const made = mailboxes_.create(user_, path);
        EXPECT_TRUE(made) << path << ": " << (made ? "" : made.error().message);
        return made ? made->id : MailboxId();
    }
    MailboxId inbox() { return mailboxes_.find(user_, "INBOX")->id; }
    std::vector<std::string> own_paths() {
        std::vector<std::string> paths;
        auto const all = mailboxes_.list(user_);
        EXPECT_TRUE(all);
        for (auto const& mailbox : all.value_or(std::vector<store::MailboxInfo>()))
            if (mailbox.special_use.empty()) paths.push_back(mailbox.path);
        return paths;
    }
    template <class T>
    static ErrorKind kind(Result<T> const& result) {
        EXPECT_FALSE(result);
        return result ? ErrorKind::internal : result.error().kind;
    }

    TestStore store_;
    accounts::Accounts accounts_;
    Mailboxes mailboxes_;
    UserId user_;
};

using Paths = std::vector<std::string>;

TEST_F(MailboxesTest, ListsInboxFirstAndParentsBeforeChildren) {
    for (std::string_view path : {"b", "a b", "a/b", "a", "inbox/z"}) make(path);
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "INBOX/z", "a", "a/b", "a b", "b"}));
}

TEST_F(MailboxesTest, FindsByAnyFormOfTheName) {
    make("Projects/Ducks");
    EXPECT_TRUE(mailboxes_.find(user_, "/Projects/Ducks/"));
    EXPECT_TRUE(mailboxes_.find(user_, "inBOX"));
    EXPECT_EQ(kind(mailboxes_.find(user_, "projects/ducks")), ErrorKind::not_found);
    EXPECT_EQ(kind(mailboxes_.find(user_, "a//b")), ErrorKind::not_found);
    EXPECT_EQ(kind(mailboxes_.get(UserId::generate(), inbox())), ErrorKind::not_found);
    EXPECT_EQ(mailboxes_.find_special(user_, "\\Trash")->special_use, "\\Trash");
}

TEST_F(MailboxesTest, RefusesDoubleAndTooManyFolders) {
    make("a");
    EXPECT_EQ(kind(mailboxes_.create(user_, "a")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.create(user_, "Inbox")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.create(user_, "a//b")), ErrorKind::invalid);
    for (int i = 0; mailboxes_.list(user_)->size() < 12; ++i) make("f" + std::to_string(i));
    EXPECT_EQ(kind(mailboxes_.create(user_, "one more")), ErrorKind::limit);
}

TEST_F(MailboxesTest, RenamesChildrenAlong) {
    auto const a = make("a");
    make("a/b");
    make("a/b/c");
    make("ab");
    auto const renamed = mailboxes_.rename(user_, a, "z/y");
    ASSERT_TRUE(renamed);
    EXPECT_EQ(renamed->path, "z/y");
    EXPECT_EQ(renamed->id, a);
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "ab", "z/y", "z/y/b", "z/y/b/c"}));
}

TEST_F(MailboxesTest, RenamesIntoAndOutOfItself) {
    auto const a = make("a");
    make("a/b/c");
    make("a/c");
    ASSERT_TRUE(mailboxes_.rename(user_, a, "a/b"));
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "a/b", "a/b/b/c", "a/b/c"}));
    ASSERT_TRUE(mailboxes_.rename(user_, a, "a"));
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "a", "a/b/c", "a/c"}));
}

TEST_F(MailboxesTest, RefusesARenameThatCollides) {
    auto const a = make("a");
    make("a/b");
    make("c");
    make("d/b");
    EXPECT_EQ(kind(mailboxes_.rename(user_, a, "c")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.rename(user_, a, "d")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.rename(user_, a, "a/b")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.rename(user_, a, "a")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.rename(user_, a, "Inbox")), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.rename(user_, inbox(), "x")), ErrorKind::denied);
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "a", "a/b", "c", "d/b"}));
}

TEST_F(MailboxesTest, UpdatesThePathOfOneFolderAlone) {
    auto const a = make("a");
    make("a/b");
    ASSERT_TRUE(mailboxes_.update(user_, a, {.path = "z", .subscribed = false}));
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "a/b", "z"}));
    EXPECT_FALSE(mailboxes_.get(user_, a)->subscribed);
    EXPECT_EQ(kind(mailboxes_.update(user_, a, {.path = "a/b"})), ErrorKind::already_exists);
    EXPECT_EQ(kind(mailboxes_.update(user_, inbox(), {.hidden = true})), ErrorKind::denied);
}

TEST_F(MailboxesTest, ErasesOnlyWhatIsNotReserved) {
    auto const a = make("a");
    make("a/b");
    EXPECT_EQ(kind(mailboxes_.erase(user_, inbox())), ErrorKind::denied);
    EXPECT_EQ(kind(mailboxes_.erase(user_, mailboxes_.find_special(user_, "\\Sent")->id)), ErrorKind::denied);
    EXPECT_EQ(kind(mailboxes_.erase(user_, MailboxId::generate())), ErrorKind::not_found);
    ASSERT_TRUE(mailboxes_.erase(user_, a));
    EXPECT_EQ(own_paths(), (Paths{"INBOX", "a/b"}));  // children stay
}

TEST_F(MailboxesTest, KeepsToTheQuota) {
    std::string const message = "Subject: s\r\n\r\n" + std::string(1000, 'x');
    AppendRequest const request{.user = user_, .mailbox = inbox(), .source = message};
    ASSERT_TRUE(mailboxes_.append(request));
    ASSERT_TRUE(mailboxes_.append(request));
    EXPECT_EQ(kind(mailboxes_.append(request)), ErrorKind::over_quota);
    auto const a = make("a");
    EXPECT_EQ(kind(mailboxes_.copy(user_, inbox(), {{1, 2}}, a)), ErrorKind::over_quota);
    EXPECT_EQ(mailboxes_.move(user_, inbox(), {{1, 2}}, a)->target.count(), 2U);
    ASSERT_TRUE(mailboxes_.expunge(a, {{1, 1}}, false));
    EXPECT_EQ(mailboxes_.quota_left(user_).value_or(0), 3000 - 1014);
    EXPECT_TRUE(mailboxes_.copy(user_, a, {{2, 2}}, inbox()));
}

class EncryptedTest : public MailboxesTest {
protected:
    void want(std::string key, bool encrypt = true) {
        ASSERT_TRUE(
            accounts_.update(user_, {.pub_key = std::move(key), .quota = 1'000'000, .encrypt_messages = encrypt}));
    }
    Result<store::Appended> append(MailboxId mailbox, std::string const& source, std::uint8_t flags = 0) {
        return mailboxes_.append({.user = user_,
                                  .mailbox = mailbox,
                                  .source = source,
                                  .flags = {flags, {"kept"}},
                                  .internal_date = 1'000'000'000'000});
    }
    std::vector<std::string> messages(MailboxId mailbox) {
        std::vector<std::string> found;
        auto const index = mailboxes_.snapshot(mailbox).value();
        for (std::uint32_t n = 0; n < index->size(); ++n) {
            auto const reader = store_.mail().body(mailbox, index->row(n)).value();
            EXPECT_TRUE(reader->read(0, reader->size(), found.emplace_back()));
        }
        return found;
    }
    static bool hides(std::string const& stored) {
        return stored.contains("BEGIN PGP MESSAGE") && !stored.contains("plans");
    }

    std::string const mail = "Subject: s\r\n\r\nplans\r\n";
};

TEST_F(EncryptedTest, ComesInOnceEncryptedUnlessItIsADraft) {
    want(encryption::test_pgp_keys::curve_key);
    ASSERT_TRUE(append(inbox(), mail));
    ASSERT_TRUE(append(inbox(), mail, store::draft));
    auto const drafts = mailboxes_.find_special(user_, "\\Drafts")->id;
    ASSERT_TRUE(append(drafts, mail));
    auto const stored = messages(inbox());
    EXPECT_TRUE(hides(stored[0])) << stored[0];
    EXPECT_EQ(stored[1], mail);
    EXPECT_EQ(messages(drafts)[0], mail);
    ASSERT_TRUE(append(inbox(), stored[0]));
    EXPECT_EQ(messages(inbox())[2], stored[0]);
}

TEST_F(EncryptedTest, IsNotStoredInTheClearWhenItsKeyCanNotBeUsed) {
    want(encryption::test_pgp_keys::signing_key);
    EXPECT_EQ(kind(append(inbox(), mail)), ErrorKind::unavailable);
    EXPECT_TRUE(messages(inbox()).empty());
    want("");  // without a key there is nothing to encrypt with (delivery.md §6)
    EXPECT_TRUE(append(inbox(), mail));
}

TEST_F(EncryptedTest, TheMailboxThatAsksForItTakesNothingInTheClear) {
    want(encryption::test_pgp_keys::curve_key, false);
    auto const vault = mailboxes_.create(user_, "Vault", {.encrypt_messages = true})->id;
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(append(inbox(), mail, store::answered));
    ASSERT_TRUE(append(inbox(), mail, store::draft));
    EXPECT_EQ(messages(inbox())[0], mail);
    auto const copied = mailboxes_.copy(user_, inbox(), {{1, 3}}, vault);
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(copied->source, (store::UidSet{{1, 3}}));
    EXPECT_EQ(copied->target, (store::UidSet{{1, 3}}));
    auto const moved = mailboxes_.move(user_, inbox(), {{2, 2}}, vault);
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(moved->target, (store::UidSet{{4, 4}}));
    EXPECT_EQ(messages(inbox()).size(), 2u);
    auto const stored = messages(vault);
    ASSERT_EQ(stored.size(), 4u);
    EXPECT_TRUE(hides(stored[0]) && hides(stored[1]) && hides(stored[3]));
    EXPECT_EQ(stored[2], mail);  // the draft
    auto const index = mailboxes_.snapshot(vault).value();
    EXPECT_EQ(index->flags(index->row(0)), (store::Flags{store::answered, {"kept"}}));
    EXPECT_EQ(index->row(3).internal_date, 1'000'000'000'000);
    EXPECT_EQ(store_.mail().check(false, {})->problem_count, 0u);
}

TEST_F(EncryptedTest, ACopyThatCanNotBeEncryptedLeavesNothingBehind) {
    want(encryption::test_pgp_keys::signing_key, false);
    auto const vault = mailboxes_.create(user_, "Vault", {.encrypt_messages = true})->id;
    ASSERT_TRUE(append(inbox(), mail, store::draft));
    ASSERT_TRUE(append(inbox(), mail));
    EXPECT_EQ(kind(mailboxes_.copy(user_, inbox(), {{1, 2}}, vault)), ErrorKind::unavailable);
    EXPECT_TRUE(messages(vault).empty());
    EXPECT_EQ(messages(inbox()).size(), 2u);
}

TEST_F(MailboxesTest, RefusesTooLargeMessages) {
    std::string const message(10'001, 'x');
    EXPECT_EQ(kind(mailboxes_.append({.user = user_, .mailbox = inbox(), .source = message, .check_quota = false})),
              ErrorKind::too_large);
}

}  // namespace
}  // namespace mallard::mailboxes
