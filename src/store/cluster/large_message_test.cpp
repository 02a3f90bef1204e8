// A large message is stored and read in pieces: never whole on the heap.
#include <malloc.h>

#include <atomic>
#include <thread>

#include "base/encoding.hpp"
#include "base/spool.hpp"
#include "mime/message.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#include <sanitizer/allocator_interface.h>
#define MALLARD_TEST_SANITIZED
#endif
#endif

namespace mallard::store::cluster {

namespace {

std::size_t allocated_bytes() {
#ifdef MALLARD_TEST_SANITIZED
    return __sanitizer_get_current_allocated_bytes();
#else
    auto const info = mallinfo2();
    return info.uordblks + info.hblkhd;
#endif
}

// How far the heap grows while it lives.
class HeapWatch {
public:
    HeapWatch() : before_(allocated_bytes()), most_(before_), thread_([this] { watch(); }) {}
    ~HeapWatch() { stop(); }
    std::size_t growth() {
        stop();
        return most_ - before_;
    }

private:
    void watch() {
        while (!stop_) {
            most_ = std::max(most_, allocated_bytes());
            std::this_thread::yield();
        }
    }
    void stop() {
        stop_ = true;
        if (thread_.joinable()) thread_.join();
    }
    std::size_t const before_;
    std::size_t most_;
    std::atomic<bool> stop_ = false;
    std::thread thread_;
};

TEST(LargeMessages, NeverLieOnTheHeapWhole) {
    if (!have_servers()) GTEST_SKIP() << no_servers;
    constexpr std::size_t heap_max = 16'000'000;
    TestDatabase database;
    ManualClock clock{SystemClock().now()};
    auto const redis = std::move(*RedisClient::open(test_redis_url()));
    ClusterSharedState state(*redis, clock.now());
    ClusterEvents events(*redis, EventsConfig{});
    ClusterMailStore store(database.client(), *redis, events, nullptr, clock);
    auto const box = store.create_mailbox({.user = UserId::generate(), .path = "INBOX"});
    ASSERT_TRUE(box);
    std::vector<std::string> lines;  // of 76 characters
    for (int i = 0; i < 1'000; ++i)
        lines.push_back(base64_encode(sha256(std::to_string(i)) + sha1(std::to_string(i)) + "12345"));
    for (std::string_view const eol : {"\r\n", "\n"}) {
        std::string line;
        Spool source;  // above a megabyte: a mapped file
        auto const put = [&](std::string_view text) {
            line = text;
            ASSERT_TRUE(source.append(line.append(eol)));
        };
        put("Subject: large");
        put("Content-Type: multipart/mixed; boundary=B");
        put("");
        put("--B");
        put("Content-Type: application/zip");
        put("Content-Transfer-Encoding: base64");
        put("");
        for (int i = 0; i < 500'000; ++i) put(lines[static_cast<std::size_t>(i) % lines.size()]);
        put("--B--");
        ASSERT_TRUE(source.finish());
        std::string_view const bytes = source.view();
        ASSERT_GT(bytes.size(), 36'000'000u);

        std::optional<Appended> appended;
        {
            HeapWatch heap;
            auto const tree = mime::parse(bytes);
            auto done = store.append(box->id, {.source = bytes, .tree = &tree, .internal_date = clock.now()});
            ASSERT_TRUE(done) << done.error().message << done.error().context;
            appended = *done;
            EXPECT_LT(heap.growth(), heap_max) << "written";
        }
        auto const snapshot = store.snapshot(box->id);
        auto const reader = store.body(box->id, (*snapshot)->row(*(*snapshot)->find(appended->uid)));
        ASSERT_TRUE(reader);
        ASSERT_EQ((*reader)->size(), bytes.size());
        HeapWatch heap;
        constexpr std::uint64_t step = 256 * 1024;
        std::string piece;
        for (std::uint64_t at = 0; at < bytes.size(); at += step) {
            piece.clear();
            ASSERT_TRUE((*reader)->read(at, step, piece));
            ASSERT_TRUE(piece == bytes.substr(at, step)) << at;
        }
        EXPECT_LT(heap.growth(), heap_max) << "read";
    }
}

}  // namespace

}  // namespace mallard::store::cluster
