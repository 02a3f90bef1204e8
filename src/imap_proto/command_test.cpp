#include "imap_proto/command.hpp"

#include <gtest/gtest.h>

namespace mallard::imap_proto {
namespace {

Result<std::vector<Argument>> arguments(std::string text, std::vector<std::string> literals = {}) {
    RawCommand raw;
    raw.text = std::move(text);
    for (std::string& literal : literals) raw.literals.push_back({std::move(literal), nullptr, false});
    return parse_arguments(raw, 0, Limits{});
}

std::string shape(std::vector<Argument> const& items) {
    std::string out;
    for (Argument const& a : items) {
        if (!out.empty()) out += ' ';
        switch (a.kind) {
            case Argument::Kind::atom:
                out += a.text;
                if (a.has_section) out += "[" + shape(a.items) + "]";
                if (a.has_partial) out += "<" + a.partial + ">";
                break;
            case Argument::Kind::quoted: out += "q:" + a.text; break;
            case Argument::Kind::literal: out += "l:" + a.text; break;
            case Argument::Kind::list: out += "(" + shape(a.items) + ")"; break;
        }
    }
    return out;
}

TEST(ParseHead, TakesTagAndName) {
    struct Row {
        std::string_view line, tag, name, rest;
    };
    for (Row const& row : {Row{"a NOOP", "a", "NOOP", ""}, Row{"a.1 uid fetch 1 FLAGS", "a.1", "UID FETCH", " 1 FLAGS"},
                           Row{"A] login a b", "A]", "LOGIN", " a b"},
                           Row{"a authenticate plain =", "a", "AUTHENTICATE PLAIN", " ="}, Row{"a UID", "a", "UID", ""},
                           Row{"a UID ", "a", "UID", " "}, Row{"a SELECT {5}\nINBOX", "a", "SELECT", " {5}\nINBOX"}}) {
        auto const head = parse_head(row.line);
        ASSERT_TRUE(head) << row.line;
        EXPECT_EQ(head->tag, row.tag);
        EXPECT_EQ(head->name, row.name);
        EXPECT_EQ(row.line.substr(head->rest), row.rest);
    }
}

TEST(ParseHead, RefusesBadTags) {
    for (std::string_view bad : {"", " ", "a", " a NOOP", "+ NOOP", "* NOOP", "a+b NOOP", "a(b NOOP", "a\"b NOOP",
                                 "a%b X", "a  NOOP", "a\tNOOP", "\xc3\xa4 NOOP", "a{1} NOOP"})
        EXPECT_FALSE(parse_head(bad)) << "accepted: " << bad;
}

TEST(ParseArguments, ReadsEveryKind) {
    struct Row {
        std::string text;
        std::string_view shape;
        std::vector<std::string> literals = {};
    };
    for (Row const& row :
         {Row{"", ""}, Row{" ", ""}, Row{" a", "a"}, Row{" a b ", "a b"}, Row{" \"a b\" c", "q:a b c"},
          Row{R"( "a\"b\\c")", R"(q:a"b\c)"}, Row{" \"\"", "q:"}, Row{" (a (b c) ())", "(a (b c) ())"},
          Row{" {3}\n x", "l:abc x", {"abc"}}, Row{" ({0}\n {2+}\n)", "(l: l:xy)", {"", "xy"}},
          Row{" ~{1}\n", "l:z", {"z"}},
          Row{" 1:*,3 (FLAGS body[1.2.MIME]<0.10>)", "1:*,3 (FLAGS body[1.2.MIME]<0.10>)"},
          Row{" BODY.PEEK[HEADER.FIELDS (A \"B\" {1}\n)]", "BODY.PEEK[HEADER.FIELDS (A q:B l:C)]", {"C"}},
          Row{" BODY[]", "BODY[]"}, Row{" [Gmail]/x", "[Gmail]/x"}, Row{" %/*", "%/*"}, Row{" \\Seen", "\\Seen"},
          Row{" NIL", "NIL"}, Row{" caf\xc3\xa9", "caf\xc3\xa9"}}) {
        auto const got = arguments(row.text, row.literals);
        ASSERT_TRUE(got) << row.text << ": " << got.error().message;
        EXPECT_EQ(shape(*got), row.shape) << row.text;
    }
}

TEST(ParseArguments, RefusesBrokenText) {
    for (std::string_view bad :
         {"  a",    " a  b",  " (",        " (a",      " )",       " a)",   " (a))",     " (a )",  " ( a)", " \"a",
          " \"a\\", " a\"b",  " a(b)",     " (a)(b)",  " \"a\"b",  " {3}",  " {3}\n",    " {x}\n", " {3",   " a{3}\n",
          " a\tb",  " BODY[", " BODY[]<1", " BODY[(]", " BODY[]x", " \x01", " \"a\nb\"", "a"})
        EXPECT_FALSE(arguments(std::string(bad))) << "accepted: " << bad;
}

TEST(ParseArguments, RefusesNulInLiteralButNotInLiteral8) {
    RawCommand raw;
    raw.text = " {3}\n";
    raw.literals.push_back({std::string("a\0b", 3), nullptr, false});
    EXPECT_FALSE(parse_arguments(raw, 0, Limits{}));
    raw.text = " ~{3}\n";
    raw.literals[0] = {std::string("a\0b", 3), nullptr, true};
    EXPECT_TRUE(parse_arguments(raw, 0, Limits{}));
}

TEST(ParseArguments, BoundsNestingAndCount) {
    EXPECT_TRUE(arguments(" " + std::string(25, '(') + std::string(25, ')')));
    auto const deep = arguments(" " + std::string(26, '(') + std::string(26, ')'));
    ASSERT_FALSE(deep);
    EXPECT_EQ(deep.error().message, "Too much nesting in IMAP string");
    std::string many;
    for (int i = 0; i < 4097; ++i) many += " a";
    auto const wide = arguments(many);
    ASSERT_FALSE(wide);
    EXPECT_EQ(wide.error().message, "Too many arguments provided");
}

TEST(LiteralMarker, ReadsAllForms) {
    EXPECT_EQ(literal_marker("a {12}")->size, 12u);
    EXPECT_TRUE(literal_marker("a {12}")->synchronizing);
    EXPECT_FALSE(literal_marker("a {12+}")->synchronizing);
    EXPECT_TRUE(literal_marker("a ~{0}")->binary);
    EXPECT_FALSE(literal_marker("a {-1}")->valid);
    EXPECT_FALSE(literal_marker("a {99999999999999999999}")->valid);
    for (std::string_view bad : {"", "a", "{}", "{+}", "{a}", "{1", "1}", "{1} ", "{1++}", "{ 1}"})
        EXPECT_FALSE(literal_marker(bad)) << bad;
}

TEST(PrintCommand, IsReadBackTheSame) {
    RawCommand raw;
    raw.text = "a UID FETCH 1:* (FLAGS BODY[HEADER.FIELDS ({1}\n \"x y\")]<1.2>)";
    raw.literals.push_back({"Z", nullptr, false});
    auto const head = parse_head(raw.text);
    auto parsed = parse_arguments(raw, head->rest, Limits{});
    ASSERT_TRUE(parsed);
    Command const command{head->tag, head->name, *parsed};
    RawCommand again = print_command(command);
    auto const head2 = parse_head(again.text);
    ASSERT_TRUE(head2);
    auto const parsed2 = parse_arguments(again, head2->rest, Limits{});
    ASSERT_TRUE(parsed2);
    EXPECT_EQ(shape(*parsed), shape(*parsed2));
}

}  // namespace
}  // namespace mallard::imap_proto
