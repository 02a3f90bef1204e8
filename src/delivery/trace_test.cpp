#include "delivery/trace.hpp"

#include <gtest/gtest.h>

namespace mallard::delivery {
namespace {

Envelope envelope() {
    return {.sender = "s@example.org",
            .transaction = "abc123",
            .client_name = "mx.example.org",
            .client_address = "192.0.2.1",
            .client_host = "[192.0.2.1]",
            .protocol = "LMTPS",
            .server_name = "mail.example.com"};
}

TEST(Trace, SaysHowTheMessageCame) {
    Recipient const recipient{.address = "a+b@example.com"};
    EXPECT_EQ(delivered_to_line(recipient), "Delivered-To: a+b@example.com\r\n");
    EXPECT_EQ(shared_trace(envelope(), &recipient, 1'704'103'200'000),
              "Return-Path: <s@example.org>\r\n"
              "Received: from mx.example.org ([192.0.2.1])\r\n"
              "\tby mail.example.com (Mallard) with LMTPS id abc123\r\n"
              "\tfor <a+b@example.com>;\r\n"
              "\tMon, 01 Jan 2024 10:00:00 +0000\r\n");
}

TEST(Trace, NamesNoRecipientWhenThereAreSeveral) {
    EXPECT_EQ(shared_trace(envelope(), nullptr, 0).find("for <"), std::string::npos);
}

TEST(Trace, LetsNoNameBreakOutOfTheField) {
    Envelope odd = envelope();
    odd.client_name = "x(y);z\r\nX-Evil:1";
    std::string const trace = shared_trace(odd, nullptr, 0);
    EXPECT_NE(trace.find("from x?y??z??X-Evil:1 ("), std::string::npos) << trace;
    EXPECT_EQ(trace.find("\r\nX-Evil"), std::string::npos);
}

TEST(Trace, ReadsTheHopBefore) {
    struct Row {
        std::string_view field;
        ReceivedFacts facts;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"from a.example (a.example [192.0.2.7]) by b.example (Postfix) with ESMTPS id 4F2 for <x@y>; Mon, 1 Jan "
              "2024",
              {"192.0.2.7", "ESMTPS", "4F2"}},
             {"from [IPv6:2001:db8::1] by b with ESMTPSA (TLS with id x) id Q1; date",
              {"2001:db8::1", "ESMTPSA", "Q1"}},
             {"by b with LMTP; date with id z", {"", "LMTP", ""}},
             {"", {}},
             {"from (((", {}},
             {"id", {}},
             {"from [", {"", "", ""}},
         }) {
        auto const facts = read_received(row.field);
        EXPECT_EQ(facts.origin, row.facts.origin) << row.field;
        EXPECT_EQ(facts.transtype, row.facts.transtype) << row.field;
        EXPECT_EQ(facts.queue_id, row.facts.queue_id) << row.field;
    }
}

}  // namespace
}  // namespace mallard::delivery
