// That no message stays unseen by a process, whatever happens between the requests of its looks.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "store/cluster/breaking_proxy.hpp"
#include "store/cluster/mail_backend.hpp"

namespace mallard::store::cluster {
namespace {

using bson::Document;

// A process whose requests a test can meddle with: at each, `meddle` is called first.
class OpenMailboxesTest : public ClusterMail {
protected:
    void SetUp() override {
        ClusterMail::SetUp();
        if (IsSkipped()) return;
        proxy = std::make_unique<BreakingProxy>(port_of_url(test_mongo_url()));
        auto const database = backend->mongo().database(Db::main);
        mongo = std::move(*MongoClient::open({.url = "mongodb://127.0.0.1:" + std::to_string(proxy->port()) + "/" +
                                                     database + "?directConnection=true&serverSelectionTimeoutMS=2000",
                                              .retry_for = std::chrono::milliseconds(0)}));
        mongo->observe([this](MongoClient::Observed const& request) {
            if (meddle) meddle(request);
        });
        store = std::make_unique<ClusterMailStore>(*mongo, backend->redis(), backend->events(), nullptr,
                                                   backend->clock());  // hears nothing: looks each time
    }
    MailStore& other() { return backend->mail(); }

    // As a process that has taken a modseq, and a UID, and is not done yet.
    void take(MailboxId box, int uids, int modseqs) {
        Document const taken{{"$inc", Document{{"uidNext", uids}, {"modifyIndex", modseqs}}}};
        ASSERT_TRUE(
            backend->mongo().find_and_modify(Db::main, "mailboxes", {.filter = {{"_id", box}}, .update = taken}));
    }
    std::vector<Uid> uids_of(MailboxId box) {
        std::vector<Uid> out;
        auto const index = store->snapshot(box);
        EXPECT_TRUE(index) << index.error().context;
        for (std::uint32_t n = 0; index && n < (*index)->size(); ++n) out.push_back((*index)->row(n).uid);
        return out;
    }
    // The whole mailbox, as a count and a load ask for it.
    static bool of_whole_mailbox(MongoClient::Observed const& request) {
        return request.collection == "messages" && request.filter.fields().size() == 1;
    }

    std::unique_ptr<BreakingProxy> proxy;
    std::unique_ptr<MongoClient> mongo;
    std::unique_ptr<ClusterMailStore> store;
    std::function<void(MongoClient::Observed const&)> meddle;
};

TEST_F(OpenMailboxesTest, ShowsAMessageThatWasOnItsWayWhileManyChangesWereMade) {
    auto const box = make_mailbox("INBOX").id;
    take(box, 1, 1);  // UID 1, modseq 2
    auto const second = append(other(), box, "A: 2\r\n\r\n");
    ASSERT_TRUE(second);
    take(box, 0, 100);
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{2}));
    Document late = one("messages", {{"_id", second->id}});
    late.set("_id", ObjectId::generate());
    late.set("uid", 1);
    late.set("modseq", 2);
    ASSERT_TRUE(backend->mongo().insert(Db::main, "messages", late));
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{1, 2}));
}

TEST_F(OpenMailboxesTest, ReadsTheMailboxAgainWhenReadingItWasInterrupted) {
    auto const box = make_mailbox("INBOX").id;
    ASSERT_TRUE(append(other(), box, "A: 1\r\n\r\n"));
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{1}));
    take(box, 0, 1);  // and dies
    ASSERT_TRUE(append(other(), box, "A: 2\r\n\r\n"));
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{1, 2}));
    backend->clock().advance(61'000);
    ASSERT_TRUE(backend->mongo().erase(Db::main, "messages", {{"mailbox", box}, {"uid", 1}}, true));  // no journal
    int times = 0;
    meddle = [&](auto const& request) {
        if (!of_whole_mailbox(request)) return;
        if (++times == 1)  // it counts
            for (char const* source : {"A: 3\r\n\r\n", "A: 4\r\n\r\n"}) ASSERT_TRUE(append(other(), box, source));
        if (times == 2) proxy->arm(1, BreakingProxy::Point::before_request, true);  // it reads
    };
    EXPECT_FALSE(store->snapshot(box));
    EXPECT_TRUE(proxy->disarm());
    EXPECT_EQ(times, 2);
    meddle = {};
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{2, 3, 4}));
}

TEST_F(OpenMailboxesTest, RemembersThatAUidIsGoneWhichItHasYetToMeet) {
    auto const box = make_mailbox("INBOX").id;
    ASSERT_TRUE(append(other(), box, "A: 1\r\n\r\n"));
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{1}));
    take(box, 0, 1);
    bool done = false;
    meddle = [&](auto const& request) {
        if (request.collection != "journal" || std::exchange(done, true)) return;
        ASSERT_TRUE(append(other(), box, "A: 2\r\n\r\n"));
        ASSERT_TRUE(other().expunge(box, {{2, 2}}, false));
    };
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{1}));
    EXPECT_TRUE(done);
    meddle = {};
    ASSERT_TRUE(append(other(), box, "A: 3\r\n\r\n"));
    EXPECT_EQ(uids_of(box), (std::vector<Uid>{1, 3}));
}

}  // namespace
}  // namespace mallard::store::cluster
