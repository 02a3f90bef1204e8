#include "http/schema.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace mallard::http {
namespace {

struct Case {
    char const* schema_name;
    Schema schema;
    std::vector<std::pair<char const*, char const*>> accepted;  // input, converted; JSON both
    std::vector<std::pair<char const*, char const*>> refused;   // input, part of the message
};

std::vector<Problem> run(Schema const& schema, Json& values) {
    Field const field = required("x", schema);
    return validate({&field}, values, false);
}

std::vector<Case> text_cases() {
    return {
        {"text",
         text().max(5),
         {{R"("a")", R"("a")"}, {R"("äöüßé")", R"("äöüßé")"}, {R"(" a ")", R"(" a ")"}},
         {{R"("")", "is not allowed to be empty"},
          {"1", "must be a string"},
          {"null", "must be a string"},
          {"[]", "must be a string"},
          {R"("123456")", "length must be less than or equal to 5 characters long"},
          {R"("😀😀😀")", "less than or equal to 5"}}},
        {"trimmed and lowered",
         text().trim().lower().one_of({"asc", "desc"}),
         {{R"(" ASC ")", R"("asc")"}, {R"("desc")", R"("desc")"}},
         {{R"("up")", "must be one of [asc, desc]"}, {R"("")", "must be one of"}}},
        {"also",
         text().max(256).also(false).also(std::string()),
         {{"false", "false"}, {R"("")", R"("")"}, {R"("pw")", R"("pw")"}},
         {{"true", "must be a string"}, {"0", "must be a string"}, {"null", "must be a string"}}},
        {"id",
         id(),
         {{R"("5F0C1E2A3B4C5D6E7F809102")", R"("5f0c1e2a3b4c5d6e7f809102")"}},
         {{R"("5f0c1e2a3b4c5d6e7f80910")", "length must be 24 characters long"},
          {R"("5f0c1e2a3b4c5d6e7f8091zz")", "must only contain hexadecimal characters"},
          {R"("me")", "hexadecimal"},
          {"1", "must be a string"}}},
        {"id or resolve",
         id().also(std::string("resolve")),
         {{R"("resolve")", R"("resolve")"}},
         {{R"("other")", "hex"}}},
        {"email",
         email(),
         {{R"("a.b+c@example.com")", R"("a.b+c@example.com")"}, {R"("jõgeva@õäöü.ee")", R"("jõgeva@õäöü.ee")"}},
         {{R"("a")", "must be a valid email"},
          {R"("a@b")", "must be a valid email"},
          {R"("a b@example.com")", "must be a valid email"},
          {R"("\"a\"@example.com")", "must be a valid email"},
          {R"("a@[127.0.0.1]")", "must be a valid email"},
          {R"("a..b@example.com")", "must be a valid email"},
          {R"("a@-x.com")", "must be a valid email"}}},
        {"username",
         username(),
         {{R"("MyUser")", R"("myuser")"}, {R"("a.b-c_d=e:f")", R"("a.b-c_d=e:f")"}, {R"("a@b.c")", R"("a@b.c")"}},
         {{R"("a..b")", "fails to match the required pattern"},
          {R"(".a")", "fails to match"},
          {R"("a@b@c")", "fails to match"},
          {R"("a b")", "fails to match"},
          {R"("ä")", "fails to match"}}},
        {"ip",
         ip(),
         {{R"("127.0.0.1")", R"("127.0.0.1")"}, {R"("2001:db8::1")", R"("2001:db8::1")"}},
         {{R"("127.0.0.1/8")", "must be a valid ip address"}, {R"("localhost")", "must be a valid ip address"}}},
        {"cursor",
         cursor(),
         {{R"("WyIxIiwyXQ")", R"("WyIxIiwyXQ")"}},
         {{R"("%%%")", "must be a cursor"}, {R"("abcd")", "must be a cursor"}}},
        {"message range",
         text().rule(rules::message_range),
         {{R"("5")", R"("5")"}, {R"("1,2,3")", R"("1,2,3")"}, {R"("3:*")", R"("3:*")"}, {R"("15:3")", R"("15:3")"}},
         {{R"("a")", "pattern"},
          {R"("1,")", "pattern"},
          {R"(",1")", "pattern"},
          {R"("1:2,3")", "pattern"},
          {R"("*")", "pattern"},
          {R"(":3")", "pattern"},
          {R"("3:")", "pattern"}}},
        {"attachment",
         text().upper().rule(rules::attachment_id),
         {{R"("att00001")", R"("ATT00001")"}},
         {{R"("ATT")", "pattern"}, {R"("ATX1")", "pattern"}, {R"("ATT1x")", "pattern"}}},
        {"target",
         alternatives({email(), text().rule(rules::target)}),
         {{R"("a@example.com")", R"("a@example.com")"},
          {R"("smtps://u:p@mx.example.com:25")", R"("smtps://u:p@mx.example.com:25")"}},
         {{R"("ftp://example.com")", "does not match any of the allowed types"},
          {R"("smtp://")", "allowed types: must be"}}},
    };
}

std::vector<Case> other_cases() {
    return {
        {"number",
         number().at_least(1).at_most(250),
         {{"1", "1"}, {R"(" 20 ")", "20"}, {R"("2.5")", "2.5"}, {"250.0", "250"}, {R"("1e2")", "100"}},
         {{"0", "must be greater than or equal to 1"},
          {R"("251")", "must be less than or equal to 250"},
          {R"("abc")", "must be a number"},
          {R"("0x10")", "must be a number"},
          {R"("")", "must be a number"},
          {"true", "must be a number"},
          {R"("9007199254740993000")", "must be a safe number"},
          {R"("1e999")", "must be a number"}}},
        {"boolean",
         boolean(),
         {{"true", "true"},
          {"0", "false"},
          {"1", "true"},
          {R"("YES")", "true"},
          {R"("off")", "false"},
          {R"("n")", "false"}},
         {{"2", "must be a boolean"},
          {R"("maybe")", "must be a boolean"},
          {R"("")", "is required"},
          {"[]", "must be a boolean"},
          {"null", "must be a boolean"}}},
        {"date",
         date().also(false),
         {{R"("2024-01-01T10:00:00.000Z")", "1704103200000"},
          {R"("2024-01-01")", "1704067200000"},
          {R"("2024-01-01T12:00:00+02:00")", "1704103200000"},
          {R"("Mon, 01 Jan 2024 10:00:00 +0000")", "1704103200000"},
          {"\"Mon Jan 01 2024 10:00:00 GMT+0000 (UTC)\"", "1704103200000"},
          {"1704103200000", "1704103200000"},
          {R"("1704103200000")", "1704103200000"},
          {"false", "false"}},
         {{R"("yesterday")", "must be a valid date"},
          {R"("2024-13-01")", "must be a valid date"},
          {R"("2024-02-30")", "must be a valid date"},
          {R"("2024-01-01T25:00")", "must be a valid date"},
          {"1e300", "must be a valid date"},
          {"true", "must be a valid date"}}},
        {"array",
         array(text().max(3)).max_items(2).unique(),
         {{R"(["a","b"])", R"(["a","b"])"}, {"[]", "[]"}},
         {{R"("a")", "must be an array"},
          {R"(["a","a"])", "contains a duplicate value"},
          {R"(["a","b","c"])", "must contain less than or equal to 2 items"},
          {R"(["abcd"])", "\"x[0]\" length"},
          {R"({"0":"a"})", "must be an array"}}},
        {"object",
         object({required("address", email()), optional("name", text())}),
         {{R"({"address":"a@example.com"})", R"({"address":"a@example.com"})"}},
         {{"{}", "\"x.address\" is required"},
          {R"({"address":"a@example.com","y":1})", "\"x.y\" is not allowed"},
          {R"("{}")", "must be of type object"},
          {"[]", "must be of type object"}}},
        {"json object",
         json_object(),
         {{R"({"a":{"b":1}})", R"("{\"a\":{\"b\":1}}")"}, {R"("{\"a\": 1}")", R"("{\"a\":1}")"}},
         {{"[]", "must be of type object"},
          {R"("[]")", "must be of type object"},
          {R"("null")", "must be of type object"},
          {R"("{")", "must be a valid JSON object"},
          {"1", "must be of type object"}}},
        {"failover",
         array(object({required("address", email().failover(""))})),
         {{R"([{"address":"nope"}])", R"([{"address":""}])"}},
         {{R"([{}])", "\"x[0].address\" is required"}}},
        {"path",
         mailbox_path(),
         {{R"("a/b")", R"("a/b")"}, {R"("/a")", R"("/a")"}},
         {{R"("somepath/abc/")", "\"x\" with value \"somepath/abc/\" matches the inverted pattern: /\\/{2,}|\\/$/"},
          {R"("a//b")", "matches the inverted pattern"},
          {R"("")", "is not allowed to be empty"}}},
    };
}

void check_all(std::vector<Case> const& cases) {
    for (Case const& c : cases) {
        for (auto const& [input, converted] : c.accepted) {
            Json values{{"x", Json::parse(input)}};
            auto const problems = run(c.schema, values);
            EXPECT_TRUE(problems.empty()) << c.schema_name << " refused " << input << ": " << problems.front().message;
            EXPECT_EQ(values["x"], Json::parse(converted)) << c.schema_name << " of " << input;
        }
        for (auto const& [input, message] : c.refused) {
            Json values{{"x", Json::parse(input)}};
            auto const problems = run(c.schema, values);
            ASSERT_FALSE(problems.empty()) << c.schema_name << " accepted " << input;
            EXPECT_NE(problems.front().message.find(message), std::string::npos)
                << c.schema_name << " of " << input << " says: " << problems.front().message;
        }
    }
}

TEST(Schema, ConvertsAndRefusesStrings) { check_all(text_cases()); }
TEST(Schema, ConvertsAndRefusesOtherKinds) { check_all(other_cases()); }

TEST(Schema, ReportsAllProblemsWithCommaJoinedPaths) {
    Field const to = required("to", array(object({required("address", email())})));
    Field const limit_field = optional("limit", limit());
    Json values = Json::parse(R"({"to":[{"address":"x"}],"limit":"0","zzz":1})");
    auto const problems = validate({&to, &limit_field}, values, false);
    ASSERT_EQ(problems.size(), 3u);
    EXPECT_EQ(problems[0].path, "to,0,address");
    EXPECT_EQ(problems[0].message, "\"to[0].address\" must be a valid email");
    EXPECT_EQ(problems[1].path, "limit");
    EXPECT_EQ(problems[2].message, "\"zzz\" is not allowed");
}

TEST(Schema, IgnoresUnknownParametersWhereAllowed) {
    Json values = Json::parse(R"({"page":3})");
    EXPECT_TRUE(validate({}, values, true).empty());
    EXPECT_EQ(validate({}, values, false).size(), 1u);
}

TEST(Schema, FillsDefaultsForAbsentAndEmptyValues) {
    Field const limit_field = optional("limit", limit().empty_is_absent());
    Field const flag = optional("flag", boolean().default_to(false));
    Field const list = optional("list", array(text()).default_to(EmptyArray{}));
    Json values = Json::parse(R"({"limit":"","flag":""})");
    EXPECT_TRUE(validate({&limit_field, &flag, &list}, values, false).empty());
    EXPECT_EQ(values, Json::parse(R"({"limit":20,"flag":false,"list":[]})"));
}

TEST(Schema, LimitsMailboxPathLevelsAndLengths) {
    auto const problems_of = [](std::string path) {
        Json values{{"x", std::move(path)}};
        return run(mailbox_path(), values);
    };
    std::string deep = "a";
    for (int i = 1; i < 128; ++i) deep += "/a";
    EXPECT_TRUE(problems_of(deep).empty());
    EXPECT_EQ(problems_of(deep + "/a").front().message, "The mailbox path cannot be more than 128 levels deep");
    EXPECT_TRUE(problems_of(std::string(512, 'a')).empty());
    EXPECT_EQ(problems_of("a/" + std::string(513, 'a')).front().message,
              "Any part of the mailbox path cannot be longer than 512 chars long");
}

TEST(Schema, RefusesJsonNestedTooDeep) {
    EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')).has_value());
    EXPECT_FALSE(parse_json(std::string(65, '[') + std::string(65, ']')).has_value());
    EXPECT_TRUE(parse_json("\"" + std::string(100, '[') + "\"").has_value());
    EXPECT_FALSE(parse_json("{").has_value());
    EXPECT_FALSE(parse_json("\"\xff\"").has_value());
}

TEST(Schema, PrintsDatesWithMilliseconds) {
    EXPECT_EQ(iso_date(1704103200007), "2024-01-01T10:00:00.007Z");
    EXPECT_EQ(iso_date(-1), "1969-12-31T23:59:59.999Z");
}

}  // namespace
}  // namespace mallard::http
