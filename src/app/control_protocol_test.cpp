#include "app/control_protocol.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

namespace mallard::app {
namespace {

struct Pair {
    Pair() { ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends); }
    int ends[2];
};

TEST(Channel, CarriesObjectsAndBytes) {
    Pair pair;
    Channel here(pair.ends[0]), there(pair.ends[1]);
    std::string bytes(600'000, 'x');
    bytes[300'000] = '\0';
    std::thread sender([&] {
        EXPECT_TRUE(here.send({{"command", "x"}, {"text", "ü\xFF"}}));
        EXPECT_TRUE(here.send_bytes(bytes));
    });
    auto const object = there.receive_json();
    ASSERT_TRUE(object);
    EXPECT_EQ(object->at("command"), "x");
    Spool spool;
    EXPECT_TRUE(there.receive_bytes(bytes.size(), spool));
    EXPECT_EQ(spool.view(), bytes);
    sender.join();
}

TEST(Channel, TellsWhenTheOtherSideIsGone) {
    Pair pair;
    Channel here(pair.ends[0]);
    ::close(pair.ends[1]);
    EXPECT_EQ(here.receive().error().kind, ErrorKind::closed);
    EXPECT_EQ(here.send({{"a", 1}}).error().kind, ErrorKind::closed);
}

TEST(Channel, RefusesMalformedFrames) {
    for (std::string_view bad :
         {std::string_view("\xFF\xFF\xFF\xFFJ", 5), std::string_view("\0\0\0\1Z!", 6),
          std::string_view("\0\0\0\2J[]", 7), std::string_view("\0\0\0\1J{", 6), std::string_view("\0\x10\0\0B", 5)}) {
        Pair pair;
        Channel here(pair.ends[0]);
        ASSERT_EQ(::write(pair.ends[1], bad.data(), bad.size()), static_cast<ssize_t>(bad.size()));
        EXPECT_EQ(here.receive_json().error().kind, ErrorKind::invalid);
        ::close(pair.ends[1]);
    }
}

TEST(Channel, RefusesMoreBytesThanWereAnnounced) {
    Pair pair;
    Channel here(pair.ends[0]), there(pair.ends[1]);
    ASSERT_TRUE(here.send_bytes("abcdef"));
    Spool spool;
    EXPECT_EQ(there.receive_bytes(5, spool).error().kind, ErrorKind::invalid);
}

TEST(Errors, KeepTheirKindOnTheWire) {
    auto const back = error_from_json(error_to_json({ErrorKind::over_quota, "full", "u1"}));
    EXPECT_EQ(back.kind, ErrorKind::over_quota);
    EXPECT_EQ(back.message, "full");
    EXPECT_EQ(back.context, "u1");
    EXPECT_EQ(error_from_json({{"kind", 4711}}).kind, ErrorKind::internal);
}

}  // namespace
}  // namespace mallard::app
