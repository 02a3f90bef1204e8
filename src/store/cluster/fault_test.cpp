// A connection that breaks at every request of every operation, before the server saw it and after: what was
// acknowledged is there once, what was not is there whole or not at all, and a check mends the counters.

#include <gtest/gtest.h>

#include <map>

#include "store/cluster/breaking_proxy.hpp"
#include "store/cluster/test_process.hpp"
#include "store/cluster/wildduck_indexes.hpp"

namespace mallard::store::cluster {
namespace {

using bson::Document;
using Point = BreakingProxy::Point;

constexpr unsigned requests_max = 60;  // of one operation: more would be an endless loop

class Fault : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        url_ = url_of_database(test_mongo_url(), "mallard_fault_" + random_hex(6));
        proxy_ = std::make_unique<BreakingProxy>(port_of_url(test_mongo_url()));
        redis_ = std::move(*RedisClient::open(test_redis_url()));
        mongo_ = open_client({.url = url_});
        for (auto const& [collection, index] : std::map<std::string, IndexDefinition>{
                 {"mailboxes", {.name = "user_path", .key = {{"user", 1}, {"path", 1}}, .unique = true}},
                 {"attachments.chunks", {.name = "files_id_1_n_1", .key = {{"files_id", 1}, {"n", 1}}, .unique = true}},
                 {"attachments.files",
                  definition_of(*find_wildduck_index("attachments.files", "related_attachments_cu"))}})
            ASSERT_TRUE(mongo_->ensure_index(Db::main, collection, index));
    }
    void TearDown() override {
        if (mongo_) static_cast<void>(mongo_->drop_database(Db::main));
    }

    // Two mailboxes of a new user, and three messages in the first: two of them share an attachment.
    struct Scene {
        UserId user = UserId::generate();
        MailboxId from, to;
        std::map<std::string, int> messages;  // source -> how many are stored
    };

    // On an otherwise empty database: not every test server finds by an index.
    Scene make_scene(ClusterMailStore& store) {
        for (char const* collection : {"users", "mailboxes", "messages", "archived", "threads", "journal",
                                       "attachments.files", "attachments.chunks"})
            EXPECT_TRUE(mongo_->erase(Db::main, collection, {}, true));
        Scene scene;
        EXPECT_TRUE(mongo_->insert(Db::users, "users",
                                   {{"_id", scene.user}, {"username", scene.user.hex()}, {"storageUsed", 0}}));
        scene.from = store.create_mailbox({.user = scene.user, .path = "INBOX"})->id;
        scene.to = store.create_mailbox({.user = scene.user, .path = "Target"})->id;
        for (unsigned n : {1U, 1U, 2U}) {
            auto const source = conformance::with_attachment(20'000, n, scene.user.hex() + std::to_string(next_++));
            EXPECT_TRUE(append(store, scene.from, source));
            scene.messages[source] = 1;
        }
        EXPECT_TRUE(store.snapshot(scene.to));
        return scene;
    }

    static void expect_same_rows(MailStore& one, MailStore& other, MailboxId mailbox) {
        auto const rows = [&](MailStore& store) {
            std::vector<std::string> out;
            EXPECT_TRUE(store.mailbox(mailbox));
            auto const index = store.snapshot(mailbox);
            EXPECT_TRUE(index);
            for (std::uint32_t n = 0; index && n < (*index)->size(); ++n) {
                Row const& row = (*index)->row(n);
                out.push_back(row.id.hex() + " uid " + std::to_string(row.uid) + " modseq " +
                              std::to_string(row.modseq) + " flags " + std::to_string(row.system));
            }
            return out;
        };
        EXPECT_EQ(rows(one), rows(other));
    }

    void expect_mendable(ClusterMailStore& store) {
        for (auto more = store.sweep(); more && *more; more = store.sweep()) {}
        ASSERT_TRUE(store.check(true, {}));
        auto const after = store.check(false, {});
        ASSERT_TRUE(after);
        EXPECT_EQ(after->problems, std::vector<std::string>{});
    }

    // `act` gives whether it was acknowledged; `verify` looks with another process's eyes.
    using Act = std::function<bool(ClusterMailStore&, Scene&)>;
    using Verify = std::function<void(ClusterMailStore&, Scene&, bool acknowledged)>;

    // The connection of the process that acts breaks at its n-th request, for n from 1 until it no longer breaks; with
    // `for_good` all later ones too, as if the process had been killed there: then each round has a new one.
    void sweep_with(Point point, bool for_good, Act const& act, Verify const& verify) {
        auto const new_process = [&] {
            return for_good
                       ? std::make_unique<Process>(proxied(url_, proxy_->port(), "&serverSelectionTimeoutMS=300"),
                                                   *redis_, std::chrono::milliseconds(0))
                       : std::make_unique<Process>(proxied(url_, proxy_->port(), ""), *redis_, std::chrono::seconds(8));
        };
        auto here = new_process();
        Process other(url_, *redis_, std::chrono::seconds(8));
        for (unsigned n = 1; n <= requests_max; ++n) {
            SCOPED_TRACE((for_good ? "killed at request " : "broken at request ") + std::to_string(n));
            auto scene = make_scene(for_good ? other.store : here->store);
            if (for_good) here = new_process();
            proxy_->arm(n, point, for_good);
            bool const acknowledged = act(here->store, scene);
            bool const broke = proxy_->disarm();
            if (!broke) EXPECT_TRUE(acknowledged);
            verify(other.store, scene, acknowledged);
            if (!for_good) {
                expect_same_rows(here->store, other.store, scene.from);
                expect_same_rows(here->store, other.store, scene.to);
            }
            expect_mendable(other.store);
            if (!broke) {
                EXPECT_GT(n, 1U) << "it never broke";
                return;
            }
            if (testing::Test::HasFailure()) return;
        }
        ADD_FAILURE() << "no end to its requests";
    }

    void sweep(Act const& act, Verify const& verify) {
        sweep_with(Point::before_request, false, act, verify);
        sweep_with(Point::before_reply, false, act, verify);
        sweep_with(Point::before_request, true, act, verify);
    }

    std::string url_;
    std::unique_ptr<BreakingProxy> proxy_;
    std::unique_ptr<RedisClient> redis_;
    std::unique_ptr<MongoClient> mongo_;
    unsigned next_ = 0;
};

template <class T>
bool acknowledged(Result<T> const& result) {
    if (!result)
        EXPECT_EQ(result.error().kind, ErrorKind::unavailable)
            << result.error().message << ' ' << result.error().context;
    return result.has_value();
}

TEST_F(Fault, AppendIsWholeOrNotAtAll) {
    std::string source;
    sweep(
        [&](ClusterMailStore& store, Scene& scene) {
            source = conformance::with_attachment(100'000, ++next_, "new " + scene.user.hex());
            return acknowledged(append(store, scene.from, source));
        },
        [&](ClusterMailStore& store, Scene& scene, bool done) {
            auto const found = contents(store, scene.from);
            EXPECT_LE(found.count(source), 1u);
            if (done) EXPECT_EQ(found.count(source), 1u);
            EXPECT_EQ(found.size() - found.count(source), 3u);
            for (auto const& [bytes, times] : scene.messages) EXPECT_EQ(found.count(bytes), 1u);
        });
}

// The driver sends a write again under the number it had, and the server knows it and gives the answer that was lost.
TEST_F(Fault, NobodyNoticesThatAnAnswerWasLost) {
    if (!mongo_->features().retryable_writes) GTEST_SKIP() << mongo_->features().server << " knows no write again";
    std::string source;
    sweep_with(
        Point::before_reply, false,
        [&](ClusterMailStore& store, Scene& scene) {
            source = conformance::with_attachment(100'000, ++next_, "new " + scene.user.hex());
            return acknowledged(append(store, scene.from, source));
        },
        [&](ClusterMailStore& store, Scene& scene, bool done) {
            EXPECT_TRUE(done);
            EXPECT_EQ(contents(store, scene.from).count(source), 1u);
        });
}

// An answer that was lost, of a driver that does not ask again: when our own second attempt comes, another process has
// met what the first one wrote, and has changed it.
class FaultMeanwhile : public Fault {
protected:
    using Meanwhile = std::function<void(ClusterMailStore& other, Scene& scene, std::string const& source)>;
    // `first`: of the requests of an APPEND that are broken here; those before are of no interest, and take their time.
    void append_while(unsigned first, Meanwhile const& meanwhile) {
        Process here(proxied(url_, proxy_->port(), "&retryWrites=false"), *redis_, std::chrono::seconds(8));
        Process other(url_, *redis_, std::chrono::seconds(8));
        for (unsigned n = first; n <= requests_max; ++n) {
            SCOPED_TRACE("broken at request " + std::to_string(n));
            auto scene = make_scene(here.store);
            auto const source = conformance::with_attachment(100'000, ++next_, "new " + scene.user.hex());
            expunged_ = false;
            proxy_->arm(n, Point::before_reply, false, [&] { meanwhile(other.store, scene, source); });
            bool const done = acknowledged(append(here.store, scene.from, source));
            bool const broke = proxy_->disarm();
            // All are read, with their attachments; here, for a UID that was lost withholds higher ones from others.
            auto const found = contents(here.store, scene.from);
            EXPECT_LE(found.count(source), expunged_ ? 0u : 1u);
            if (done && !expunged_) EXPECT_EQ(found.count(source), 1u);
            for (auto const& [bytes, times] : scene.messages) EXPECT_EQ(found.count(bytes), 1u);
            expect_mendable(other.store);
            if (testing::Test::HasFailure()) return;
            if (!broke) return;
        }
        ADD_FAILURE() << "no end to its requests";
    }
    bool expunged_ = false;  // the new message, in this round
    unsigned met_ = 0;       // in how many rounds it was there already
};

TEST_F(FaultMeanwhile, AMessageWhoseFlagsWereChangedIsThere) {
    append_while(6, [&](ClusterMailStore& other, Scene& scene, std::string const&) {
        auto const changed = other.change_flags(scene.from, {{4, 4}}, {FlagMode::add, {flagged, {}}, {}});
        ASSERT_TRUE(changed);
        met_ += changed->changed.contains(4);
    });
    EXPECT_GT(met_, 0u);
}

TEST_F(FaultMeanwhile, AMessageThatWasExpungedDoesNotComeBack) {
    append_while(6, [&](ClusterMailStore& other, Scene& scene, std::string const&) {
        auto const gone = other.expunge(scene.from, {{4, 4}}, false);
        ASSERT_TRUE(gone);
        expunged_ = gone->contains(4);
        met_ += expunged_;
    });
    EXPECT_GT(met_, 0u);
}

TEST_F(FaultMeanwhile, AnAttachmentThatAnotherMessageRefersToStays) {
    append_while(4, [&](ClusterMailStore& other, Scene& scene, std::string const& source) {
        auto const second = "X-Other: 1\r\n" + source;
        if (!acknowledged(append(other, scene.from, second))) return;  // it waits in vain for an upload that has begun
        scene.messages[second] = 1;
        met_ += mongo_->count(Db::main, "attachments.chunks", {}).value() == 3;
    });
    EXPECT_GT(met_, 0u);
}

TEST_F(FaultMeanwhile, WhatLeavesWhileItIsCheckedIsNoDamage) {
    Process here(proxied(url_, proxy_->port(), ""), *redis_, std::chrono::seconds(8));
    Process other(url_, *redis_, std::chrono::seconds(8));
    for (unsigned n = 1; n <= requests_max; ++n) {
        SCOPED_TRACE("during request " + std::to_string(n));
        auto scene = make_scene(here.store);
        proxy_->arm(n, Point::before_reply, false, [&] {
            EXPECT_TRUE(other.store.expunge(scene.from, {{1, 1}}, false));
            EXPECT_TRUE(other.store.move(scene.from, {{3, 3}}, scene.to));
        });
        auto const report = here.store.check(true, {});
        bool const broke = proxy_->disarm();
        ASSERT_TRUE(report) << report.error().context;
        EXPECT_EQ(report->problems, std::vector<std::string>{});
        met_ += broke;
        if (!broke || testing::Test::HasFailure()) break;
    }
    EXPECT_GT(met_, 5u);
}

TEST_F(Fault, FlagsAreChangedOrAsTheyWere) {
    sweep(
        [&](ClusterMailStore& store, Scene& scene) {
            return acknowledged(store.change_flags(scene.from, {{1, 3}}, {FlagMode::add, {flagged, {"Kw"}}, {}}));
        },
        [&](ClusterMailStore& store, Scene& scene, bool done) {
            auto const found = contents(store, scene.from);
            EXPECT_EQ(found.size(), 3u);
            for (auto const& [bytes, row] : found) {
                EXPECT_EQ(scene.messages.count(bytes), 1u);
                EXPECT_EQ(row.system & ~flagged, 0u);
                if (done) EXPECT_TRUE(row.system & flagged);
            }
        });
}

TEST_F(Fault, ACopyLeavesTheSourceAlone) {
    sweep(
        [&](ClusterMailStore& store, Scene& scene) { return acknowledged(store.copy(scene.from, {{1, 3}}, scene.to)); },
        [&](ClusterMailStore& store, Scene& scene, bool done) {
            auto const from = contents(store, scene.from), to = contents(store, scene.to);
            for (auto const& [bytes, times] : scene.messages) {
                EXPECT_EQ(from.count(bytes), 1u);
                EXPECT_LE(to.count(bytes), 1u);
                if (done) EXPECT_EQ(to.count(bytes), 1u);
            }
        });
}

TEST_F(Fault, AMoveLosesNothing) {
    sweep(
        [&](ClusterMailStore& store, Scene& scene) { return acknowledged(store.move(scene.from, {{1, 3}}, scene.to)); },
        [&](ClusterMailStore& store, Scene& scene, bool done) {
            auto const from = contents(store, scene.from), to = contents(store, scene.to);
            for (auto const& [bytes, times] : scene.messages) {
                EXPECT_LE(to.count(bytes), 1u);
                EXPECT_GE(from.count(bytes) + to.count(bytes), 1u);
                if (done) EXPECT_EQ(from.count(bytes), 0u);
            }
        });
}

TEST_F(Fault, AnExpungeTakesNothingElse) {
    sweep([&](ClusterMailStore& store,
              Scene& scene) { return acknowledged(store.expunge(scene.from, {{1, 1}, {3, 3}}, false)); },
          [&](ClusterMailStore& store, Scene& scene, bool done) {
              auto const found = contents(store, scene.from);
              bool second = false;
              for (auto const& [bytes, row] : found) {
                  EXPECT_EQ(scene.messages.count(bytes), 1u);
                  second = second || row.uid == 2;
              }
              EXPECT_TRUE(second);
              if (done) EXPECT_EQ(found.size(), 1u);
          });
}

TEST_F(Fault, ADeletedMailboxGoesWholly) {
    sweep([&](ClusterMailStore& store, Scene& scene) { return acknowledged(store.delete_mailbox(scene.to)); },
          [&](ClusterMailStore& store, Scene& scene, bool done) {
              auto const there = store.mailbox(scene.to);
              ASSERT_TRUE(there);
              if (done) EXPECT_FALSE(*there);
              EXPECT_EQ(contents(store, scene.from).size(), 3u);
              if (!*there) scene.to = scene.from;
          });
}

}  // namespace
}  // namespace mallard::store::cluster
