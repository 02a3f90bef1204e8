// The operations compared with testdata/contract.json, our own table of WildDuck's facts. Of replies it has every field
// by its path ("results[].id"). `later`: fields that belong to what this server does not do yet; `more`: what it says
// beyond the contract.

#include <fstream>
#include <set>

#include "api/test_api.hpp"

namespace mallard::api {
namespace {

using Names = std::set<std::string>;

void add_paths(http::Schema const& schema, std::string const& where, Names& paths) {
    using Kind = http::Schema::Kind;
    if (schema.kind == Kind::array) return add_paths(schema.options_.front(), where + "[]", paths);
    if (schema.kind == Kind::alternatives)
        for (auto const& option : schema.options_) add_paths(option, where, paths);
    for (auto const& field : schema.fields_) {
        auto const path = where.empty() ? field.name : where + "." + field.name;
        paths.insert(path);
        add_paths(field.schema, path, paths);
    }
}

Names names_of(Json const& list) { return list.get<Names>(); }

Names without(Names from, Names const& names) {
    for (auto const& name : names) from.erase(name);
    return from;
}

void compare_reply(http::Operation const& operation, Json const& expected) {
    EXPECT_EQ(operation.reply_type, expected["replyType"].get<std::string>()) << operation.id;
    Names declared;
    add_paths(operation.reply, "", declared);
    auto const contract = names_of(expected["reply"]);
    EXPECT_EQ(Json(without(contract, declared)), Json(names_of(expected["later"]))) << "reply of " << operation.id;
    EXPECT_EQ(Json(without(declared, contract)), Json(names_of(expected["more"]))) << "reply of " << operation.id;
    EXPECT_EQ(Json(without(names_of(expected["required"]), declared)), Json::array()) << "reply of " << operation.id;
}

TEST(Contract, IsWhatTheOperationsDeclare) {
    std::ifstream file(std::string(MALLARD_SOURCE_DIR) + "/src/api/testdata/contract.json");
    auto const contract = Json::parse(file);
    EXPECT_GT(contract.size(), 40u);
    for (auto const& expected : contract) {
        auto const id = expected["id"].get<std::string>();
        auto const& table = all_endpoints();
        auto const found = std::ranges::find_if(table, [&](Endpoint const& e) { return e.operation.id == id; });
        ASSERT_NE(found, table.end()) << id;
        auto const& operation = found->operation;
        EXPECT_EQ(operation.method, expected["method"].get<std::string>()) << id;
        EXPECT_EQ(operation.path, expected["path"].get<std::string>()) << id;
        EXPECT_EQ(operation.allow_unknown, expected["allowUnknown"].get<bool>()) << id;
        Names parameters;
        for (auto const* field : operation.fields()) parameters.insert(field->name);
        EXPECT_EQ(Json(parameters), expected["parameters"]) << id;
        if (!expected["permissions"].empty()) {
            auto const& permission = expected["permissions"][0];
            EXPECT_EQ(operation.permission.resource, permission["resource"].get<std::string>()) << id;
            EXPECT_EQ(operation.permission.action, permission["action"].get<std::string>()) << id;
            EXPECT_EQ(operation.permission.own, permission["own"].get<bool>()) << id;
        }
        compare_reply(operation, expected);
    }
}

}  // namespace
}  // namespace mallard::api
