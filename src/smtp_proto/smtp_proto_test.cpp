#include <gtest/gtest.h>

#include "smtp_proto/command.hpp"

namespace mallard::smtp {
namespace {

TEST(Path, ReadsEveryAlternativeOfTheGrammar) {
    struct Row {
        std::string_view text, local, domain;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"<a@b.example>", "a", "b.example"},
             {"<a.b+c=d@e.example>", "a.b+c=d", "e.example"},
             {"<!#$%&'*+-/=?^_`{|}~@b>", "!#$%&'*+-/=?^_`{|}~", "b"},
             {"<\"a b\"@c>", "a b", "c"},
             {"<\"a\\\"b\\\\\"@c>", "a\"b\\", "c"},
             {"<\"a@b\"@c>", "a@b", "c"},
             {"<\">\"@c>", ">", "c"},
             {"<a@[192.0.2.1]>", "a", "[192.0.2.1]"},
             {"<a@[IPv6:2001:db8::1]>", "a", "[IPv6:2001:db8::1]"},
             {"<@x,@y:a@b>", "a", "b"},
             {"<@x.example:a@b>", "a", "b"},
             {"<j\xC3\xBCrgen@m\xC3\xBCnchen.example>", "j\xC3\xBCrgen", "m\xC3\xBCnchen.example"},
             {"<Postmaster>", "Postmaster", ""},
         }) {
        std::string_view text = row.text;
        auto const path = take_path(text, PathKind::forward);
        ASSERT_TRUE(path) << row.text;
        EXPECT_EQ(path->local, row.local) << row.text;
        EXPECT_EQ(path->domain, row.domain) << row.text;
        EXPECT_EQ(text, "") << row.text;
        std::string const again = '<' + path->address() + '>';
        std::string_view rest = again;
        EXPECT_EQ(take_path(rest, PathKind::forward), path) << again;
    }
}

TEST(Path, RefusesWhatIsNoPath) {
    std::string const long_local = '<' + std::string(65, 'a') + "@b>";
    std::string const long_label = "<a@" + std::string(64, 'b') + ">";
    for (std::string_view bad : std::initializer_list<std::string_view>{"",
                                                                        "a@b",
                                                                        "<",
                                                                        "<>",
                                                                        "<a>",
                                                                        "<a@>",
                                                                        "<@b>",
                                                                        "<a@b",
                                                                        "<a b@c>",
                                                                        "<.a@b>",
                                                                        "<a.@b>",
                                                                        "<a..b@c>",
                                                                        "<a@b..c>",
                                                                        "<a@-b>",
                                                                        "<a@b->",
                                                                        "<a@.b>",
                                                                        "<\"a@b>",
                                                                        "<\"\"@b>",
                                                                        "<\"a\"b@c>",
                                                                        "<a@[1.2.3.4>",
                                                                        "<a@[]>",
                                                                        "<a@b@c>",
                                                                        "<a@b c>",
                                                                        "<@x a@b>",
                                                                        "<@x,:a@b>",
                                                                        "<,@x:a@b>",
                                                                        "<a\xFF@b>",
                                                                        "<\"a\\\xC3\xBC\"@b>",
                                                                        "<a(c)@b>",
                                                                        "<a@b(c)>",
                                                                        std::string_view("<a\0@b>", 7),
                                                                        std::string_view(long_local),
                                                                        std::string_view(long_label)}) {
        std::string_view text = bad;
        EXPECT_FALSE(take_path(text, PathKind::forward)) << "accepted: " << bad;
        EXPECT_EQ(text, bad);
    }
}

TEST(Path, IsNullOnlyForSenders) {
    std::string_view text = "<>";
    auto const path = take_path(text, PathKind::reverse);
    ASSERT_TRUE(path);
    EXPECT_TRUE(path->is_null());
    text = "<Postmaster>";
    EXPECT_FALSE(take_path(text, PathKind::reverse));
}

TEST(Command, ReadsVerbsInAnyCase) {
    struct Row {
        std::string_view line;
        Verb verb;
        std::string_view argument;
    };
    for (Row const& row : std::initializer_list<Row>{{"LHLO host.example", Verb::lhlo, "host.example"},
                                                     {"lhlo [192.0.2.1]", Verb::lhlo, "[192.0.2.1]"},
                                                     {"EHLO x", Verb::ehlo, "x"},
                                                     {"HELO x", Verb::helo, "x"},
                                                     {"DATA", Verb::data, ""},
                                                     {"data ", Verb::data, ""},
                                                     {"RSET", Verb::rset, ""},
                                                     {"NOOP", Verb::noop, ""},
                                                     {"NOOP anything goes", Verb::noop, "anything goes"},
                                                     {"VRFY a", Verb::vrfy, "a"},
                                                     {"EXPN l", Verb::expn, "l"},
                                                     {"HELP", Verb::help, ""},
                                                     {"qUIT", Verb::quit, ""},
                                                     {"STARTTLS", Verb::starttls, ""},
                                                     {"AUTH PLAIN", Verb::auth, "PLAIN"},
                                                     {"BDAT 5 LAST", Verb::bdat, "5 LAST"},
                                                     {"", Verb::unknown, ""},
                                                     {"GET / HTTP/1.1", Verb::unknown, "GET / HTTP/1.1"},
                                                     {"MAILFROM:<a@b>", Verb::unknown, "MAILFROM:<a@b>"}}) {
        auto const command = parse_command(row.line);
        ASSERT_TRUE(command) << row.line;
        EXPECT_EQ(command->verb, row.verb) << row.line;
        EXPECT_EQ(command->argument, row.argument) << row.line;
        EXPECT_EQ(parse_command(print_command(*command)), command) << row.line;
    }
}

TEST(Command, ReadsMailWithItsParameters) {
    auto const command = parse_command("mail from:<a@b.example> size=123 BODY=8BITMIME SMTPUTF8");
    ASSERT_TRUE(command);
    EXPECT_EQ(command->path.address(), "a@b.example");
    EXPECT_EQ(command->mail.size, 123U);
    EXPECT_EQ(command->mail.body, Body::eight_bit);
    EXPECT_TRUE(command->mail.smtputf8);
    EXPECT_EQ(print_command(*command), "MAIL FROM:<a@b.example> SIZE=123 BODY=8BITMIME SMTPUTF8");
    ASSERT_TRUE(parse_command("MAIL FROM: <a@b>"));
    ASSERT_TRUE(parse_command("MAIL FROM:<>"));
    EXPECT_TRUE(parse_command("MAIL FROM:<>")->path.is_null());
}

TEST(Command, RefusesWithTheRightCode) {
    struct Row {
        std::string_view line;
        int code;
        std::string_view status;
    };
    for (Row const& row : std::initializer_list<Row>{
             {"MAIL", 501, "5.1.7"},
             {"MAIL FROM", 501, "5.1.7"},
             {"MAIL FROM:", 501, "5.1.7"},
             {"MAIL FROM:a@b", 501, "5.1.7"},
             {"MAIL TO:<a@b>", 501, "5.1.7"},
             {"MAIL FROM:<a b@c>", 501, "5.1.7"},
             {"MAIL FROM:<a@b>SIZE=1", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SIZE", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SIZE=", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SIZE=-1", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SIZE=1x", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SIZE=99999999999999999999", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SIZE=1 SIZE=1", 501, "5.5.4"},
             {"MAIL FROM:<a@b> BODY=BINARYMIME", 501, "5.5.4"},
             {"MAIL FROM:<a@b> BODY", 501, "5.5.4"},
             {"MAIL FROM:<a@b> SMTPUTF8=1", 501, "5.5.4"},
             {"MAIL FROM:<a@b> =", 501, "5.5.4"},
             {"MAIL FROM:<a@b> RET=FULL", 555, "5.5.4"},
             {"MAIL FROM:<\xC3\xBC@b>", 553, "5.6.7"},
             {"RCPT TO:<>", 501, "5.1.3"},
             {"RCPT TO:<a>", 501, "5.1.3"},
             {"RCPT FROM:<a@b>", 501, "5.1.3"},
             {"RCPT TO:<a@b> NOTIFY=NEVER", 555, "5.5.4"},
             {"LHLO", 501, "5.5.4"},
             {"LHLO a b", 501, "5.5.4"},
             {"DATA x", 501, "5.5.4"},
             {"QUIT now", 501, "5.5.4"},
             {"STARTTLS x", 501, "5.5.4"},
             {"NOOP\rQUIT", 500, "5.5.2"},
             {"NOOP\nQUIT", 500, "5.5.2"},
             {std::string_view("NOOP\0", 5), 500, "5.5.2"},
             {"NOOP \xFF", 500, "5.5.2"},
         }) {
        auto const command = parse_command(row.line);
        ASSERT_FALSE(command) << "accepted: " << row.line;
        EXPECT_EQ(command.error().code, row.code) << row.line;
        EXPECT_EQ(command.error().status, row.status) << row.line;
    }
}

TEST(Reply, RendersEachLineWithCodeAndStatus) {
    EXPECT_EQ(render({250, "2.1.0", "Accepted"}), "250 2.1.0 Accepted\r\n");
    EXPECT_EQ(render({250, "", "a\nb\nc"}), "250-a\r\n250-b\r\n250 c\r\n");
    EXPECT_EQ(render({354, "", "End"}), "354 End\r\n");
}

TEST(Reply, LetsNoControlIntoTheLine) { EXPECT_EQ(render({550, "5.1.1", "a\rb\tc"}), "550 5.1.1 a?b?c\r\n"); }

TEST(Reply, HasTheStatusOfEachError) {
    EXPECT_EQ(render(reply_for({ErrorKind::not_found, "Unknown recipient", ""})), "550 5.1.1 Unknown recipient\r\n");
    EXPECT_EQ(reply_for({ErrorKind::over_quota, "", ""}).code, 552);
    EXPECT_EQ(reply_for({ErrorKind::too_large, "", ""}).status, "5.3.4");
    EXPECT_EQ(reply_for({ErrorKind::io, "", "secret path"}).code, 452);
    EXPECT_EQ(reply_for({ErrorKind::io, "secret path", ""}).text.find("secret"), std::string::npos);
}

}  // namespace
}  // namespace mallard::smtp
