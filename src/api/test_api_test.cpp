#include "api/test_api.hpp"

#include "base/encoding.hpp"

namespace mallard::api {

std::string mismatch(http::Schema const& schema, OrderedJson const& value, std::string const& where) {
    using Kind = http::Schema::Kind;
    for (auto const& also : schema.also_) {
        if (std::holds_alternative<std::nullptr_t>(also) && value.is_null()) return {};
    }
    auto const expect = [&](bool fits, char const* what) { return fits ? std::string() : where + " is no " + what; };
    switch (schema.kind) {
        case Kind::anything: return {};
        case Kind::text:
        case Kind::path:
        case Kind::binary: return expect(value.is_string(), "string");
        case Kind::date: return expect(value.is_string() && value.get<std::string>().size() == 24, "date");
        case Kind::number: return expect(value.is_number(), "number");
        case Kind::boolean: return expect(value.is_boolean(), "boolean");
        case Kind::json_object: return expect(value.is_object(), "object");
        case Kind::alternatives:
            for (auto const& option : schema.options_) {
                if (mismatch(option, value, where).empty()) return {};
            }
            return where + " is none of the alternatives";
        case Kind::array:
            if (!value.is_array()) return where + " is no array";
            for (std::size_t i = 0; i < value.size(); ++i) {
                auto const found = mismatch(schema.options_.front(), value[i], where + "[" + std::to_string(i) + "]");
                if (!found.empty()) return found;
            }
            return {};
        case Kind::object: break;
    }
    if (!value.is_object()) return where + " is no object";
    for (auto const& field : schema.fields_) {
        if (!value.contains(field.name)) {
            if (field.required) return where + "." + field.name + " is missing";
            continue;
        }
        auto const found = mismatch(field.schema, value[field.name], where + "." + field.name);
        if (!found.empty()) return found;
    }
    if (schema.open_) return {};
    for (auto const& [name, member] : value.items()) {
        bool const declared =
            std::ranges::any_of(schema.fields_, [&](auto const& field) { return field.name == name; });
        if (!declared) return where + "." + name + " is not declared";
    }
    return {};
}

TestReply TestApi::send(std::string const& method, std::string const& target, std::string const& body,
                        TestHeaders headers) {
    http::Request request;
    request.method = method;
    request.target = target;
    auto const question = target.find('?');
    request.path = target.substr(0, question);
    if (question != target.npos) request.query = target.substr(question + 1);
    bool has_token = request.query.find("accessToken=") != request.query.npos;
    for (auto& [name, value] : headers) {
        has_token = has_token || iequals(name, "X-Access-Token") || iequals(name, "Authorization");
        if (!value.empty()) request.headers.add(name, value);
    }
    if (!has_token) request.headers.add("X-Access-Token", token_);
    EXPECT_TRUE(request.body.append(body));
    EXPECT_TRUE(request.body.finish());
    request.peer_address = "198.51.100.7";

    http::Response response = handler_(request);
    TestReply reply;
    reply.status = response.status;
    reply.headers = response.headers;
    reply.body = std::move(response.body);
    if (response.stream) {
        while (auto* chunk = response.stream->next()) reply.body += *chunk;
        if (response.stream_length) EXPECT_EQ(reply.body.size(), *response.stream_length);
    }
    if (response.headers.get("Content-Type").starts_with("application/json")) {
        reply.json = OrderedJson::parse(reply.body, nullptr, false);
    }

    std::vector<http::Operation const*> operations;
    for (auto const& endpoint : all_endpoints()) operations.push_back(&endpoint.operation);
    auto const route = http::Router(operations).find(method, request.path);
    if (reply.status == 200 && route.outcome == http::Route::Outcome::found) {
        auto const& operation = *operations[route.operation];
        if (operation.reply_type == "application/json") {
            EXPECT_EQ(mismatch(operation.reply, reply.json, operation.id), "") << reply.body;
        }
    }
    return reply;
}

}  // namespace mallard::api
