// The arguments of FETCH, STORE, APPEND, LIST and SEARCH, by tables.
#include <gtest/gtest.h>

#include "imap_proto/append.hpp"
#include "imap_proto/date.hpp"
#include "imap_proto/fetch.hpp"
#include "imap_proto/list.hpp"
#include "imap_proto/search.hpp"
#include "imap_proto/store.hpp"

namespace mallard::imap_proto {
namespace {

std::vector<Argument> arguments(std::string text, std::vector<std::string> literals = {}) {
    RawCommand raw;
    raw.text = " " + std::move(text);
    for (std::string& literal : literals) raw.literals.push_back({std::move(literal), nullptr, false});
    auto out = parse_arguments(raw, 0, Limits{});
    EXPECT_TRUE(out) << raw.text;
    return out.value_or(std::vector<Argument>{});
}

TEST(Fetch, KeepsTheClientsSpelling) {
    struct Row {
        std::string text;
        std::vector<std::string_view> labels;
    };
    for (Row const& row :
         {Row{"1 flags", {"flags"}}, Row{"1 (Flags uid UID)", {"Flags", "uid", "UID"}},
          Row{"1 FAST", {"FLAGS", "INTERNALDATE", "RFC822.SIZE"}},
          Row{"1 full", {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"}},
          Row{"1 body.peek[text]", {"body[text]"}}, Row{"1 BODY[1.2.HEADER]<5.10>", {"BODY[1.2.HEADER]<5>"}},
          Row{"1 BODY.PEEK[HEADER.FIELDS (Date \"x y\")]", {"BODY[HEADER.FIELDS (Date \"x y\")]"}},
          Row{"1 BODY[2.HEADER.FIELDS.NOT ()]", {"BODY[2.HEADER.FIELDS.NOT ()]"}},
          Row{"1 (RFC822 RFC822.HEADER RFC822.TEXT RFC822.SIZE MODSEQ ENVELOPE BODYSTRUCTURE BODY)",
              {"RFC822", "RFC822.HEADER", "RFC822.TEXT", "RFC822.SIZE", "MODSEQ", "ENVELOPE", "BODYSTRUCTURE",
               "BODY"}}}) {
        auto const request = parse_fetch(arguments(row.text), "FETCH", Limits{});
        ASSERT_TRUE(request) << row.text << ": " << request.error().message;
        std::vector<std::string_view> labels;
        for (auto const& item : request->items) labels.push_back(item.label);
        EXPECT_EQ(labels, row.labels) << row.text;
    }
}

TEST(Fetch, KnowsWhatSetsSeen) {
    auto sets = [](std::string item) { return parse_fetch(arguments("1 " + item), "FETCH", {})->items[0].sets_seen(); };
    for (char const* item : {"BODY[]", "BODY[TEXT]", "RFC822", "RFC822.TEXT"}) EXPECT_TRUE(sets(item)) << item;
    for (char const* item : {"BODY.PEEK[]", "RFC822.HEADER", "FLAGS", "ENVELOPE", "BODY"})
        EXPECT_FALSE(sets(item)) << item;
}

TEST(Fetch, ReadsChangedSince) {
    EXPECT_EQ(parse_fetch(arguments("1:* FLAGS (CHANGEDSINCE 12345)"), "FETCH", {})->changed_since, 12345u);
}

TEST(Fetch, RefusesWhatIsNotAnItem) {
    struct Row {
        std::string text;
        std::string_view message;
    };
    for (Row const& row :
         {Row{"0 FLAGS", "Invalid sequence set for FETCH"},
          Row{"(1) FLAGS", "Invalid sequence set for FETCH"},
          Row{"1 FOO", "Invalid message data item FOO for FETCH"},
          Row{"1 NIL", "Invalid message data item NIL for FETCH"},
          Row{"1 (FAST FLAGS)", "Invalid message data item FAST for FETCH"},
          Row{"1 \"FLAGS\"", "Invalid message data item name for FETCH"},
          Row{"1 BODY[FOO]", "Invalid message data item BODY[FOO] for FETCH"},
          Row{"1 BODY[NIL]", "Invalid message data item BODY[NIL] for FETCH"},
          Row{"1 BODY[0]", "Invalid message data item BODY[0] for FETCH"},
          Row{"1 BODY[1.]", "Invalid message data item BODY[1.] for FETCH"},
          Row{"1 BODY[HEADER.FIELDS]", "Invalid message data item BODY[HEADER.FIELDS] for FETCH"},
          Row{"1 BODY[HEADER.FIELDS (NIL)]", "Invalid message data item BODY[HEADER.FIELDS] for FETCH"},
          Row{"1 BODY[HEADER (Date)]", "Invalid message data item BODY[HEADER] for FETCH"},
          Row{"1 BODY[]<5>", "Invalid message data item BODY[]<5> for FETCH"},
          Row{"1 BODY[]<0.0>", "Invalid message data item BODY[]<0.0> for FETCH"},
          Row{"1 BODY[]<-1.2>", "Invalid message data item BODY[]<-1.2> for FETCH"},
          Row{"1 BINARY[1]", "Invalid message data item BINARY[1] for FETCH"},
          Row{"1 FLAGS (VANISHED)", "Invalid modifier for FETCH"},
          Row{"1 FLAGS (CHANGEDSINCE -1)", "Invalid modifier for FETCH"},
          Row{"1 FLAGS CHANGEDSINCE", "Invalid modifier for FETCH"}}) {
        auto const request = parse_fetch(arguments(row.text), "FETCH", Limits{});
        ASSERT_FALSE(request) << "accepted: " << row.text;
        EXPECT_EQ(request.error().message, row.message);
    }
    EXPECT_FALSE(parse_fetch(arguments("1 ()"), "FETCH", Limits{}));
}

TEST(Store, ReadsEveryForm) {
    struct Row {
        std::string text;
        StoreRequest::Mode mode;
        bool silent;
        std::vector<std::string> flags;
        std::optional<std::uint64_t> since = {};
    };
    using Mode = StoreRequest::Mode;
    for (Row const& row : {Row{"1 FLAGS (\\Seen)", Mode::set, false, {"\\Seen"}},
                           Row{"1 +flags.silent (\\seen $Fwd)", Mode::add, true, {"\\seen", "$Fwd"}},
                           Row{"1 -FLAGS \\Seen \\Draft", Mode::remove, false, {"\\Seen", "\\Draft"}},
                           Row{"1 FLAGS ()", Mode::set, false, {}}, Row{"1 +FLAGS (a A)", Mode::add, false, {"a"}},
                           Row{"1 (UNCHANGEDSINCE 7) FLAGS (a)", Mode::set, false, {"a"}, 7},
                           Row{"1 (UNCHANGEDSINCE 0) FLAGS (a)", Mode::set, false, {"a"}, 0}}) {
        auto const request = parse_store(arguments(row.text), "STORE", Limits{});
        ASSERT_TRUE(request) << row.text << ": " << request.error().message;
        EXPECT_EQ(request->mode, row.mode);
        EXPECT_EQ(request->silent, row.silent);
        EXPECT_EQ(request->flags, row.flags);
        EXPECT_EQ(request->unchanged_since, row.since);
    }
}

TEST(Store, RefusesBrokenForms) {
    for (std::string bad :
         {"x FLAGS (a)", "1 FLAG (a)", "1 FLAGS", "1 (UNCHANGEDSINCE) FLAGS (a)", "1 (FOO 1) FLAGS (a)",
          "1 FLAGS (\\Recent)", "1 FLAGS (\\Foo)", "1 FLAGS (\"a\")", "1 FLAGS (NIL)", "1 FLAGS ((a))", "1 FLAGS (a%)",
          "1 FLAGS (a]b)", "1 FLAGS (a) b", "1 ++FLAGS (a)", "1 (UNCHANGEDSINCE 1) FLAGS", "1 FLAGS (caf\xc3\xa9)"})
        EXPECT_FALSE(parse_store(arguments(bad), "STORE", Limits{})) << "accepted: " << bad;
    EXPECT_FALSE(parse_store(arguments("1 FLAGS (" + std::string(256, 'a') + ")"), "STORE", Limits{}));
}

constexpr TimeMs now = 1'700'000'000'000;

TEST(Append, ReadsEveryForm) {
    struct Row {
        std::string text;
        std::size_t flags;
        std::optional<TimeMs> date;
    };
    for (Row const& row :
         {Row{"INBOX {3}\n", 0, {}}, Row{"\"a b\" (\\Seen x) {3}\n", 2, {}},
          Row{"INBOX \"14-Nov-2023 22:13:20 +0000\" {3}\n", 0, now},
          Row{"INBOX () \" 1-Jan-2000 01:00:00 +0100\" {3}\n", 0, 946'684'800'000}, Row{"INBOX UTF8 ({3}\n)", 0, {}}}) {
        auto const args = arguments(row.text, {"abc"});
        auto const request = parse_append(args, now, Limits{});
        ASSERT_TRUE(request) << row.text << ": " << request.error().message;
        EXPECT_EQ(request->flags.size(), row.flags);
        EXPECT_EQ(request->date, row.date);
        EXPECT_EQ(request->message->bytes(), "abc");
    }
}

TEST(Append, RefusesBrokenForms) {
    struct Row {
        std::string text;
        std::string_view message;
    };
    for (Row const& row :
         {Row{"NIL {3}\n", "Invalid mailbox argument for APPEND"},
          Row{"INBOX \"abc\" {3}\n", "Invalid date argument for APPEND"},
          Row{"INBOX \"31-Feb-2020 00:00:00 +0000\" {3}\n", "Invalid date-time argument for APPEND"},
          Row{"INBOX \"01-Jan-1970 00:00:00 +0000\" {3}\n", "Invalid date-time argument for APPEND"},
          Row{"INBOX \"01-Jan-2033 00:00:00 +0000\" {3}\n", "Invalid date-time argument for APPEND"},
          Row{"INBOX (\\Foo) {3}\n", "Invalid system flag argument for APPEND"},
          Row{"INBOX abc", "Invalid message argument for APPEND"}, Row{"INBOX", "Invalid message argument for APPEND"},
          Row{"INBOX {3}\n {3}\n", "Too many arguments provided"}}) {
        auto const args = arguments(row.text, {"abc", "abc"});
        auto const request = parse_append(args, now, Limits{});
        ASSERT_FALSE(request) << "accepted: " << row.text;
        EXPECT_EQ(request.error().message, row.message);
    }
}

TEST(List, ReadsOptionsAndPatterns) {
    auto const plain = parse_list(arguments("\"\" *"), "LIST");
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->patterns, std::vector<std::string>{"*"});
    auto const special = parse_list(arguments("(SPECIAL-USE) \"\" (a b) RETURN (SPECIAL-USE)"), "LIST");
    ASSERT_TRUE(special);
    EXPECT_TRUE(special->select_special_use);
    EXPECT_TRUE(special->return_special_use);
    EXPECT_EQ(special->patterns.size(), 2u);
    for (std::string bad : {"(SUBSCRIBED) \"\" *", "\"\" * RETURN (CHILDREN)", "\"\" * NIL", "NIL *", "\"\" ()", "() a",
                            "\"\" * RETURN", "\"\" * RETURN () x"})
        EXPECT_FALSE(parse_list(arguments(bad), "LIST")) << "accepted: " << bad;
}

TEST(List, MatchesPatterns) {
    struct Row {
        std::string_view pattern, name;
        bool match;
    };
    for (Row const& row :
         {Row{"*", "a/b", true},      Row{"%", "a", true},       Row{"%", "a/b", false},  Row{"%/%", "a/b", true},
          Row{"a/%", "a/b/c", false}, Row{"a*c", "a/b/c", true}, Row{"a*c", "ac", true},  Row{"a*c", "acd", false},
          Row{"", "", true},          Row{"", "a", false},       Row{"*%", "a/b", true},  Row{"%*", "a/b", true},
          Row{"a", "a", true},        Row{"a", "A", false},      Row{"%{2}", "a", false}, Row{"**a**b", "xaxxb", true},
          Row{"%b", "a/b", false},    Row{"*/b", "a/b", true},   Row{"a", "ab", false},   Row{"ab", "a", false},
          Row{"aa", "aaa", false}})
        EXPECT_EQ(list_match(row.pattern, row.name), row.match) << row.pattern << " " << row.name;
}

TEST(Search, ReadsEveryKey) {
    for (std::string good : {"ALL",
                             "1:5,7",
                             "*",
                             "UID 3:*",
                             "UNSEEN NOT DELETED",
                             "OR SEEN (FLAGGED DRAFT)",
                             "(UNSEEN)",
                             "FROM x",
                             "FROM \"\"",
                             "HEADER X-Y \"z\"",
                             "BEFORE 1-Feb-1994",
                             "SENTSINCE \"01-Feb-1994\"",
                             "LARGER 100",
                             "OLDER 60",
                             "MODSEQ 7",
                             "MODSEQ \"/flags/\\\\draft\" all 620162338",
                             "CHARSET UTF-8 TEXT abc",
                             "KEYWORD $Fwd",
                             "UNKEYWORD x",
                             "NOT NOT ALL",
                             "BODY {3}\n",
                             "NEW",
                             "OLD",
                             "RECENT"})
        EXPECT_TRUE(parse_search(arguments(good, {"abc"}), Limits{})) << "refused: " << good;
    EXPECT_TRUE(parse_search(arguments("TEXT a"), {})->reads_text);
    EXPECT_TRUE(parse_search(arguments("OR MODSEQ 1 ALL"), {})->uses_modseq);
}

TEST(Search, RefusesBrokenKeys) {
    struct Row {
        std::string text;
        std::string_view message;
    };
    for (Row const& row :
         {Row{"FROM", "Not enough arguments provided"}, Row{"OR SEEN", "Not enough arguments provided"},
          Row{"NOT", "Not enough arguments provided"}, Row{"()", "Not enough arguments provided"},
          Row{"NIL", "Unknown search term NIL"}, Row{"RETURN (ALL)", "Unknown search term RETURN"},
          Row{"BEFORE 31-Feb-1994", "Invalid date argument for BEFORE"},
          Row{"BEFORE x", "Invalid date argument for BEFORE"}, Row{"LARGER x", "Invalid size argument for size"},
          Row{"OLDER 0", "Invalid interval argument for OLDER"}, Row{"MODSEQ x", "Invalid MODSEQ argument"},
          Row{"UID x", "Invalid sequence set for UID"}, Row{"0", "Invalid sequence set for sequence set"},
          Row{"FROM NIL", "Invalid argument for FROM"}, Row{"CHARSET UTF-8", "Not enough arguments provided"},
          Row{"\"ALL\"", "Invalid search term"}}) {
        auto const request = parse_search(arguments(row.text), Limits{});
        ASSERT_FALSE(request) << "accepted: " << row.text;
        EXPECT_EQ(request.error().message, row.message) << row.text;
    }
    std::string deep;
    for (int i = 0; i < 60; ++i) deep += "NOT ";
    EXPECT_FALSE(parse_search(arguments(deep + "ALL"), Limits{}));
}

TEST(Date, FormatsInUtc) {
    auto format = [](TimeMs t) {
        std::string out;
        append_date_time(out, t);
        return out;
    };
    EXPECT_EQ(format(1'379'204'548'000), "15-Sep-2013 00:22:28 +0000");
    EXPECT_EQ(format(0), "01-Jan-1970 00:00:00 +0000");
    EXPECT_EQ(format(-1000), "31-Dec-1969 23:59:59 +0000");
}

TEST(Date, RefusesWhatIsNoDate) {
    for (std::string_view bad : {"", "1-Feb", "1-Feb-94", "32-Jan-2000", "0-Jan-2000", "1-Foo-2000", "001-Jan-2000",
                                 "1-Jan-2000 ", "-1-Jan-2000", "29-Feb-2001"})
        EXPECT_FALSE(parse_date(bad)) << "accepted: " << bad;
    EXPECT_EQ(parse_date("1-jan-1970"), 0);
    for (std::string_view bad :
         {"1-Jan-2000", "01-Jan-2000 00:00:00", "01-Jan-2000 0:00:00 +0000", "01-Jan-2000 00:00:00 0000",
          "01-Jan-2000 00:00:00 +000", "01-Jan-2000 00:00:00 +0000x"})
        EXPECT_FALSE(parse_date_time(bad).well_formed) << "accepted: " << bad;
    EXPECT_FALSE(parse_date_time("01-Jan-2000 24:00:00 +0000").when);
}

}  // namespace
}  // namespace mallard::imap_proto
