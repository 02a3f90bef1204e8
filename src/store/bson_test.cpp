#include "store/bson.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/encoding.hpp"

namespace mallard::bson {
namespace {

Document all_types() {
    return Document{{"null", Null{}},
                    {"yes", true},
                    {"no", false},
                    {"i32", std::int32_t{-7}},
                    {"i64", std::int64_t{1} << 40},
                    {"double", 1.5},
                    {"text", "gr\xc3\xbc\xc3\x9f"},
                    {"empty", ""},
                    {"zero", std::string("a\0b", 3)},
                    {"id", *ObjectId::from_hex("0123456789abcdef01234567")},
                    {"date", Date{-1}},
                    {"bin", Binary{std::string("\0\x01\xff", 3), 0}},
                    {"uuid", Binary{std::string(16, 'u'), 4}},
                    {"list", Array{1, "two", Array{}, Document{{"three", 3}}}},
                    {"doc", Document{{"a", Document{{"b", Null{}}}}, {"", "no name"}}}};
}

TEST(Bson, ReadsBackWhatItWroteInEveryType) {
    auto const document = all_types();
    auto const read = Document::decode(document.encode());
    ASSERT_TRUE(read) << read.error().context;
    EXPECT_EQ(*read, document);
    EXPECT_EQ(read->encode(), document.encode());
}

TEST(Bson, WritesTheBytesOfTheSpecification) {
    // bsonspec.org, example: {"hello": "world"}
    EXPECT_EQ(hex_encode(Document{{"hello", "world"}}.encode()), "160000000268656c6c6f0006000000776f726c640000");
    EXPECT_EQ(hex_encode(Document{}.encode()), "0500000000");
}

TEST(Bson, RefusesDamagedBytes) {
    std::string const good = all_types().encode();
    for (std::size_t size = 0; size < good.size(); ++size)
        EXPECT_FALSE(Document::decode(std::string_view(good).substr(0, size))) << "cut at " << size;
    EXPECT_FALSE(Document::decode(good + "x"));
}

TEST(Bson, SurvivesEveryFlippedByte) {
    std::string const good = all_types().encode();
    for (std::size_t at = 0; at < good.size(); ++at)
        for (unsigned char flip : {0x01, 0x80, 0xff}) {
            std::string bad = good;
            bad[at] = static_cast<char>(bad[at] ^ flip);
            if (auto const read = Document::decode(bad)) (void)read->encode();
        }
}

TEST(Bson, RefusesNestingBeyondItsBound) {
    Value deep = 1;
    for (int i = 0; i < 200; ++i) deep = Document{{"a", deep}};
    EXPECT_FALSE(Document::decode(Document{{"a", deep}}.encode()));
}

TEST(Bson, NumbersAreWrittenAsAJavaScriptDriverDoes) {
    EXPECT_NE(number(0).as<std::int32_t>(), nullptr);
    EXPECT_NE(number(2147483647).as<std::int32_t>(), nullptr);
    EXPECT_NE(number(-2147483648LL).as<std::int32_t>(), nullptr);
    EXPECT_NE(number(2147483648LL).as<double>(), nullptr);
    EXPECT_EQ(number(1'700'000'000'000).as_int64(), 1'700'000'000'000);
}

TEST(Bson, ReadsIntegersFromEveryNumericType) {
    EXPECT_EQ(Value(5).as_int64(), 5);
    EXPECT_EQ(Value(std::int64_t{1} << 60).as_int64(), std::int64_t{1} << 60);
    EXPECT_EQ(Value(5.0).as_int64(), 5);
    EXPECT_EQ(Value(Date{5}).as_int64(), 5);
    for (double bad :
         {5.5, 1e300, -1e300, std::nan(""), std::numeric_limits<double>::infinity(), 9223372036854775808.0})
        EXPECT_EQ(Value(bad).as_int64(), std::nullopt) << bad;
    EXPECT_EQ(Value("5").as_int64(), std::nullopt);
    EXPECT_EQ(Value(5).as_double(), 5.0);
}

TEST(Bson, FollowsDottedPaths) {
    Document document;
    document.set_path("a.b.c", 1);
    document.set_path("a.b.d", 2);
    document.set_path("x", "y");
    document.set_path("x.z", 3);  // what was not a document is replaced
    EXPECT_EQ(document.find_path("a.b.c")->as_int64(), 1);
    EXPECT_EQ(document.find_path("a.b")->as<Document>()->fields().size(), 2u);
    EXPECT_EQ(document.find_path("x.z")->as_int64(), 3);
    EXPECT_EQ(document.find_path("a.c"), nullptr);
    EXPECT_EQ(document.find_path("a.b.c.d"), nullptr);
    EXPECT_TRUE(document.erase_path("a.b.c"));
    EXPECT_FALSE(document.erase_path("a.b.c"));
    EXPECT_EQ(document.find_path("a.b.c"), nullptr);
    EXPECT_NE(document.find_path("a.b.d"), nullptr);
}

TEST(Bson, TreatsNullAbsentAndWrongTypesAlike) {
    Document const document{{"n", Null{}}, {"t", "x"}, {"i", 1}};
    EXPECT_EQ(document.text("n", "f"), "f");
    EXPECT_EQ(document.text("i", "f"), "f");
    EXPECT_EQ(document.text("absent", "f"), "f");
    EXPECT_EQ(document.integer("t", 9), 9);
    EXPECT_TRUE(document.boolean("n", true));
    EXPECT_TRUE(document.boolean("t"));
    EXPECT_FALSE(document.id("t"));
    EXPECT_FALSE(document.date("i"));
    EXPECT_EQ(document.array("t"), nullptr);
    EXPECT_EQ(document.document("t"), nullptr);
}

TEST(Bson, KeepsTheOrderOfFieldsWhenOneIsReplaced) {
    Document document{{"a", 1}, {"b", 2}};
    document.set("a", 3);
    document.set("c", 4);
    EXPECT_EQ(document, (Document{{"a", 3}, {"b", 2}, {"c", 4}}));
}

}  // namespace
}  // namespace mallard::bson
