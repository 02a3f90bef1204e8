// What every engine's Events does. An engine may deliver later than publish() returns, so the tests wait.

#include <atomic>
#include <thread>

#include "store/conformance/backend.hpp"

namespace mallard::store::conformance {

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(EventsSuite);

namespace {

template <class F>
bool eventually(F&& holds) {
    for (int i = 0; i < 500 && !holds(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return holds();
}

TEST_P(EventsSuite, TellsEverySubscriberOfTheUserAndNobodyElse) {
    auto const user = UserId::generate();
    std::atomic<int> first = 0, second = 0, stranger = 0;
    auto const a = backend->events().subscribe(user, [&](Event const&) { ++first; });
    auto const b = backend->events().subscribe(user, [&](Event const&) { ++second; });
    auto const c = backend->events().subscribe(UserId::generate(), [&](Event const&) { ++stranger; });
    backend->events().publish({.user = user, .mailbox = MailboxId::generate()});
    EXPECT_TRUE(eventually([&] { return first == 1 && second == 1; }));
    EXPECT_EQ(stranger, 0);
}

TEST_P(EventsSuite, SaysWhatHappenedAndWhere) {
    auto const user = UserId::generate();
    auto const mailbox = MailboxId::generate();
    std::atomic<bool> right = false;
    auto const subscription = backend->events().subscribe(user, [&](Event const& event) {
        right = event.kind == Event::Kind::mailbox_deleted && event.user == user && event.mailbox == mailbox;
    });
    backend->events().publish({.kind = Event::Kind::mailbox_deleted, .user = user, .mailbox = mailbox});
    EXPECT_TRUE(eventually([&] { return right.load(); }));
}

TEST_P(EventsSuite, CallsNobodyAfterTheSubscriptionHasEnded) {
    auto const user = UserId::generate();
    std::atomic<int> kept = 0, ended = 0;
    auto subscription = backend->events().subscribe(user, [&](Event const&) { ++ended; });
    auto const other = backend->events().subscribe(user, [&](Event const&) { ++kept; });
    subscription.reset();
    backend->events().publish({.user = user});
    EXPECT_TRUE(eventually([&] { return kept == 1; }));
    EXPECT_EQ(ended, 0);
}

TEST_P(EventsSuite, SurvivesSubscribersThatComeAndGoWhileOthersPublish) {
    auto const user = UserId::generate();
    std::atomic<bool> stop = false;
    std::thread publisher([&] {
        while (!stop) backend->events().publish({.user = user});
    });
    for (int i = 0; i < 500; ++i) {
        bool alive = true;
        auto const subscription = backend->events().subscribe(user, [&alive](Event const&) { EXPECT_TRUE(alive); });
        std::this_thread::yield();
    }
    stop = true;
    publisher.join();
}

}  // namespace

}  // namespace mallard::store::conformance
