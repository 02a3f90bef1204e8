#pragma once
// What a process of ours does to the database, for tests that take the database away from it.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <stdexcept>
#include <string>

#include "mime/message.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/test_backend.hpp"
#include "store/conformance/mail_store_suite.hpp"

namespace mallard::store::cluster {

// A busy machine may answer later than a client waits that shall give up soon.
inline std::unique_ptr<MongoClient> open_client(MongoConfig const& options) {
    for (int tries = 0; tries < 50; ++tries)
        if (auto client = MongoClient::open(options)) return std::move(*client);
    throw std::runtime_error("the database of the tests cannot be reached");
}

// One process of ours: a client and a store of its own.
struct Process {
    Process(std::string const& url, RedisClient& redis, std::chrono::milliseconds retry_for)
        : events(redis, {.worker_id = "test:" + random_hex(6)}),
          mongo(open_client({.url = url, .retry_for = retry_for})),
          store(*mongo, redis, events, &events, clock, {}, std::chrono::milliseconds(50)) {}
    SystemClock clock;
    ClusterEvents events;
    std::unique_ptr<MongoClient> mongo;
    ClusterMailStore store;
};

inline Result<Appended> append(MailStore& store, MailboxId mailbox, std::string const& source) {
    auto const tree = mime::parse(source);
    NewMessage message{.source = source, .tree = &tree, .internal_date = 1'700'000'000'000};
    message.record.envelope = "()";
    message.thread_refs = {"one", "two"};
    message.thread_subject = "subject";
    return store.append(mailbox, std::move(message));
}

// What a mailbox holds, by the bytes: source -> rows. Found first, as by every protocol: else the signal of what was
// just acknowledged may still be on its way.
inline std::multimap<std::string, Row> contents(MailStore& store, MailboxId mailbox) {
    std::multimap<std::string, Row> found;
    EXPECT_TRUE(store.mailbox(mailbox));
    auto const index = store.snapshot(mailbox);
    EXPECT_TRUE(index) << index.error().message << ' ' << index.error().context;
    if (!index) return found;
    for (std::uint32_t n = 0; n < (*index)->size(); ++n) {
        Row const& row = (*index)->row(n);
        std::string bytes;
        auto const reader = store.body(mailbox, row);
        EXPECT_TRUE(reader) << reader.error().message << ' ' << reader.error().context;
        if (reader) EXPECT_TRUE((*reader)->read(0, row.size, bytes));
        found.emplace(std::move(bytes), row);
    }
    return found;
}

}  // namespace mallard::store::cluster
