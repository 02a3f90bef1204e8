#include "http/router.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "http/body.hpp"
#include "http/openapi.hpp"
#include "http/query.hpp"

namespace mallard::http {
namespace {

Operation operation(std::string id, std::string method, std::string path) {
    Operation op;
    op.id = std::move(id);
    op.method = std::move(method);
    op.path = std::move(path);
    op.tag = "Things";
    op.summary = "Do it";
    op.reply = object({required("success", boolean())});
    return op;
}

std::vector<Operation> const& table() {
    static std::vector<Operation> const operations{
        operation("list", "GET", "/users"),
        operation("create", "POST", "/users"),
        operation("get", "GET", "/users/{user}"),
        operation("resolve", "GET", "/users/resolve/{username}"),
        operation("boxes", "GET", "/users/{user}/mailboxes"),
        operation("eml", "GET", "/users/{user}/m/{message}/message.eml"),
    };
    return operations;
}

Router router() {
    std::vector<Operation const*> pointers;
    for (Operation const& op : table()) pointers.push_back(&op);
    return Router(pointers);
}

TEST(Router, FindsOperationsAndDecodesParameters) {
    struct Row {
        char const* path;
        char const* id;
        std::vector<std::pair<std::string, std::string>> parameters;
    };
    for (Row const& row : std::vector<Row>{{"/users", "list", {}},
                                           {"/users/me", "get", {{"user", "me"}}},
                                           {"/users/resolve", "get", {{"user", "resolve"}}},
                                           {"/users/resolve/a%40b", "resolve", {{"username", "a@b"}}},
                                           {"/users/resolve/mailboxes", "resolve", {{"username", "mailboxes"}}},
                                           {"/users/x/mailboxes", "boxes", {{"user", "x"}}},
                                           {"/users/a%2Fb", "get", {{"user", "a/b"}}},
                                           {"/users/x/m/5/message.eml", "eml", {{"user", "x"}, {"message", "5"}}}}) {
        auto const route = router().find("GET", row.path);
        ASSERT_EQ(route.outcome, Route::Outcome::found) << row.path;
        EXPECT_EQ(table()[route.operation].id, row.id) << row.path;
        EXPECT_EQ(route.parameters, row.parameters) << row.path;
    }
}

TEST(Router, IsStrictAboutPaths) {
    for (std::string const& path :
         {std::string("/Users"), std::string("/users/"), std::string("//users"), std::string("/"), std::string(""),
          std::string("users"), std::string("/users//mailboxes"), "/users/" + std::string(197, 'a'),
          std::string("/users/x/m/5/message.em")}) {
        EXPECT_EQ(router().find("GET", path).outcome, Route::Outcome::no_such_path) << path;
    }
    EXPECT_EQ(router().find("GET", "/users/" + std::string(196, 'a')).outcome, Route::Outcome::found);
}

TEST(Router, ListsTheMethodsOfAKnownPath) {
    for (auto const* method : {"DELETE", "HEAD", "get", "OPTIONS"}) {
        auto const route = router().find(method, "/users");
        EXPECT_EQ(route.outcome, Route::Outcome::method_not_allowed) << method;
        EXPECT_EQ(route.allowed, (std::vector<std::string>{"GET", "POST"}));
    }
}

TEST(Query, NestsByBracketsAndDots) {
    struct Row {
        char const* query;
        char const* json;
    };
    for (Row const& row : {
             Row{"", "{}"},
             Row{"a=1&b=%20x+y", R"({"a":"1","b":" x y"})"},
             Row{"a=1&a=2", R"({"a":["1","2"]})"},
             Row{"a[]=1", R"({"a":["1"]})"},
             Row{"a[0]=1&a[1]=2", R"({"a":["1","2"]})"},
             Row{"or.from=x&or[to]=y", R"({"or":{"from":"x","to":"y"}})"},
             Row{"a[21]=1", R"({"a":{"21":"1"}})"},
             Row{"to[0][address]=a&to[0][name]=b", R"({"to":[{"address":"a","name":"b"}]})"},
             Row{"a", R"({"a":""})"},
             Row{"=1&&", "{}"},
             Row{"a=%", R"({"a":"%"})"},
             Row{"a=%FF", R"({"a":"\ufffd"})"},
             Row{"a[b=1", R"({"a[b":"1"})"},
             Row{"a[b][c][d][e][f][g][h]=1", R"({"a":{"b":{"c":{"d":{"e":{"f":{"[g][h]":"1"}}}}}}})"},
         }) {
        EXPECT_EQ(parse_query(row.query, true), Json::parse(row.json)) << row.query;
    }
    EXPECT_EQ(parse_query("a.b=1", false), Json::parse(R"({"a.b":"1"})"));
}

TEST(Query, ReadsAtMostAThousandParameters) {
    std::string query;
    for (int i = 0; i < 1500; ++i) query += "k" + std::to_string(i) + "=1&";
    EXPECT_EQ(parse_query(query, true).size(), 1000u);
}

Request request_with(std::string_view type, std::string_view body) {
    Request request;
    request.method = "POST";
    if (!type.empty()) request.headers.add("Content-Type", std::string(type));
    EXPECT_TRUE(request.body.append(body));
    EXPECT_TRUE(request.body.finish());
    return request;
}

// "{\"a\":1}" packed.
constexpr unsigned char gzipped[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x4a, 0x54,
                                     0xb2, 0x32, 0xac, 0x05, 0x00, 0xaf, 0xac, 0x1b, 0x56, 0x07, 0x00, 0x00, 0x00};

TEST(Body, BecomesParameters) {
    struct Row {
        char const* type;
        char const* body;
        BodyKind kind;
        char const* json;
    };
    for (Row const& row : {
             Row{"application/json; charset=utf-8", R"({"a":1})", BodyKind::fields, R"({"a":1})"},
             Row{"application/scim+json", R"({"a":1})", BodyKind::fields, R"({"a":1})"},
             Row{"application/json", "  ", BodyKind::none, "{}"},
             Row{"application/json", "3", BodyKind::fields, "{}"},
             Row{"application/x-www-form-urlencoded", "a=1&b[c]=2&d.e=3", BodyKind::fields,
                 R"({"a":"1","b":{"c":"2"},"d.e":"3"})"},
             Row{"multipart/form-data; boundary=\"X\"",
                 "--X\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--X\r\ncontent-disposition: form-data; "
                 "name=f; filename=x\r\nContent-Type: text/plain\r\n\r\nline\r\n\r\n--X--\r\n",
                 BodyKind::fields, R"({"a":"1","f":"line\r\n"})"},
             Row{"message/rfc822", "Subject: x\r\n", BodyKind::whole, "{}"},
             Row{"application/octet-stream", "x", BodyKind::not_read, "{}"},
             Row{"", R"({"a":1})", BodyKind::not_read, "{}"},
         }) {
        auto request = request_with(row.type, row.body);
        Json values = Json::object();
        auto const kind = read_body(request, {}, values);
        ASSERT_TRUE(kind.has_value()) << row.type;
        EXPECT_EQ(*kind, row.kind) << row.type;
        EXPECT_EQ(values, Json::parse(row.json)) << row.type;
    }
}

TEST(Body, RefusesWhatItCannotRead) {
    struct Row {
        char const* type;
        char const* header;
        char const* header_value;
        char const* body;
        unsigned status;
        char const* code;
    };
    for (Row const& row : {
             Row{"application/json", "", "", "{", 400, "InvalidContent"},
             Row{"application/json", "", "", "[]", 500, "InternalServer"},
             Row{"application/json", "Content-Encoding", "br", "{}", 415, "UnsupportedMediaType"},
             Row{"application/json", "Content-Encoding", "gzip", "{}", 400, "InvalidContent"},
             Row{"application/json", "Content-MD5", "AAAA", "{}", 400, "BadDigest"},
         }) {
        auto request = request_with(row.type, row.body);
        if (*row.header) request.headers.add(row.header, row.header_value);
        Json values = Json::object();
        auto const answer = read_body(request, {}, values);
        ASSERT_FALSE(answer.has_value()) << row.code;
        EXPECT_EQ(answer.error().status, row.status);
        EXPECT_EQ(Json::parse(answer.error().body)["code"], row.code);
    }
}

TEST(Body, UnpacksGzipWithinItsBound) {
    std::string_view const packed(reinterpret_cast<char const*>(gzipped), sizeof gzipped);
    for (auto const& [max, accepted] : {std::pair{7, true}, std::pair{6, false}}) {
        auto request = request_with("application/json", packed);
        request.headers.add("Content-Encoding", "gzip");
        Json values = Json::object();
        auto const answer = read_body(request, {.inflated_max = static_cast<std::uint64_t>(max)}, values);
        EXPECT_EQ(answer.has_value(), accepted);
        if (accepted) EXPECT_EQ(values, Json::parse(R"({"a":1})"));
        if (!accepted) EXPECT_EQ(answer.error().status, 413u);
    }
    auto cut = request_with("application/json", packed.substr(0, 15));
    cut.headers.add("Content-Encoding", "gzip");
    Json values = Json::object();
    EXPECT_FALSE(read_body(cut, {}, values).has_value());
}

TEST(OpenApi, DescribesEveryOperation) {
    auto op = operation("put", "PUT", "/things/{id}");
    op.path_fields = {required("id", id())};
    op.body_fields = {required("name", text().max(3), "What it is called"), optional("n", number().at_least(1))};
    op.permission = {"things", "update", true};
    auto const document = openapi_document({"T", "1", "D"}, {&op, &table()[0]});
    auto const& put = document["paths"]["/things/{id}"]["put"];
    EXPECT_EQ(put["operationId"], "put");
    EXPECT_EQ(put["tags"], OrderedJson::array({"Things"}));
    EXPECT_EQ(put["parameters"][0]["in"], "path");
    EXPECT_EQ(put["parameters"][0]["schema"]["minLength"], 24);
    auto const& body = put["requestBody"]["content"]["application/json"]["schema"];
    EXPECT_EQ(body["required"], OrderedJson::array({"name"}));
    EXPECT_EQ(body["properties"]["name"]["description"], "What it is called");
    EXPECT_EQ(body["properties"]["n"]["minimum"], 1);
    EXPECT_EQ(put["x-permissions"][0]["own"], true);
    EXPECT_EQ(put["responses"]["200"]["content"]["application/json"]["schema"]["properties"]["success"]["type"],
              "boolean");
    EXPECT_TRUE(document["paths"]["/users"].contains("get"));
    EXPECT_EQ(document["security"][1], OrderedJson::parse(R"({"BearerAuth":[]})"));
}

}  // namespace
}  // namespace mallard::http
