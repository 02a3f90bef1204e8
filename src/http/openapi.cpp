#include "http/openapi.hpp"

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "base/encoding.hpp"

namespace mallard::http {
namespace {

OrderedJson number_value(double value) {
    if (std::trunc(value) == value && std::fabs(value) < 9e15) return static_cast<std::int64_t>(value);
    return value;
}

OrderedJson literal(Literal const& value) {
    return std::visit(
        [](auto const& v) -> OrderedJson {
            using T = std::decay_t<decltype(v)>;
            if constexpr (std::is_same_v<T, EmptyArray>) {
                return OrderedJson::array();
            } else if constexpr (std::is_same_v<T, double>) {
                return number_value(v);
            } else {
                return v;
            }
        },
        value);
}

OrderedJson render(Schema const& schema);

OrderedJson render_object(std::vector<Field const*> const& fields, bool open) {
    OrderedJson out{{"type", "object"}};
    if (fields.empty()) {
        if (!open) out["properties"] = OrderedJson::object();
        return out;
    }
    OrderedJson needed = OrderedJson::array();
    for (Field const* field : fields) {
        out["properties"][field->name] = render(field->schema);
        if (!field->description.empty()) out["properties"][field->name]["description"] = field->description;
        if (field->required) needed.push_back(field->name);
    }
    if (!needed.empty()) out["required"] = std::move(needed);
    return out;
}

std::vector<Field const*> pointers(std::vector<Field> const& fields) {
    std::vector<Field const*> out;
    for (Field const& field : fields) out.push_back(&field);
    return out;
}

void render_text(Schema const& schema, OrderedJson& out) {
    out["type"] = "string";
    if (!schema.values_.empty()) out["enum"] = schema.values_;
    for (Rule const* rule : schema.rules_) {
        if (!rule->format.empty()) out["format"] = rule->format;
        if (!rule->pattern.empty()) out["pattern"] = rule->pattern;
    }
    auto const least = schema.exact_length_ ? schema.exact_length_ : schema.min_length_;
    auto const most = schema.exact_length_ ? schema.exact_length_ : schema.max_length_;
    if (least != 0) out["minLength"] = least;
    if (most != SIZE_MAX) out["maxLength"] = most;
    if (schema.trim_) out["x-trim"] = true;
    if (schema.lower_) out["x-case"] = "lower";
    if (schema.upper_) out["x-case"] = "upper";
}

OrderedJson render_kind(Schema const& schema) {
    OrderedJson out = OrderedJson::object();
    switch (schema.kind) {
        case Schema::Kind::text: render_text(schema, out); return out;
        case Schema::Kind::path:
            render_text(schema, out);
            out["x-custom"] = "mailbox-path";
            out["x-notPattern"] = "\\/{2,}|\\/$";
            return out;
        case Schema::Kind::binary: return {{"type", "string"}, {"format", "binary"}};
        case Schema::Kind::number:
            out["type"] = "number";
            if (schema.minimum_) out["minimum"] = number_value(*schema.minimum_);
            if (schema.maximum_) out["maximum"] = number_value(*schema.maximum_);
            return out;
        case Schema::Kind::boolean: return {{"type", "boolean"}, {"x-lenient", true}};
        case Schema::Kind::date: return {{"type", "string"}, {"format", "date-time"}};
        case Schema::Kind::array:
            out["type"] = "array";
            out["items"] = render(schema.options_.front());
            if (schema.max_items_ != SIZE_MAX) out["maxItems"] = schema.max_items_;
            if (schema.unique_) out["uniqueItems"] = true;
            return out;
        case Schema::Kind::json_object: return {{"type", "object"}, {"x-custom", "json-object-or-json-string"}};
        case Schema::Kind::alternatives:
            out["oneOf"] = OrderedJson::array();
            for (Schema const& option : schema.options_) out["oneOf"].push_back(render(option));
            return out;
        case Schema::Kind::anything: return out;
        case Schema::Kind::object: break;
    }
    return render_object(pointers(schema.fields_), schema.open_);
}

OrderedJson render(Schema const& schema) {
    OrderedJson out = render_kind(schema);
    if (schema.default_) out["default"] = literal(*schema.default_);
    for (Literal const& also : schema.also_) {
        if (std::holds_alternative<std::nullptr_t>(also)) {
            out["nullable"] = true;
        } else {
            out["x-alsoAllowed"].push_back(literal(also));
        }
    }
    if (schema.empty_is_absent_) out["x-emptyValues"] = OrderedJson::array({""});
    if (schema.failover_) out["x-failover"] = *schema.failover_;
    return out;
}

OrderedJson render_parameter(Field const& field, std::string_view where) {
    OrderedJson out{{"name", field.name}, {"in", where}, {"required", where == "path" || field.required}};
    if (!field.description.empty()) out["description"] = field.description;
    out["schema"] = render(field.schema);
    return out;
}

OrderedJson render_request_body(Operation const& operation) {
    auto const schema = render_object(pointers(operation.body_fields), false);
    OrderedJson content{{"application/json", {{"schema", schema}}}};
    if (operation.raw_body) content["message/rfc822"] = {{"schema", {{"type", "string"}, {"format", "binary"}}}};
    return {{"content", content}};
}

OrderedJson render_operation(Operation const& operation) {
    OrderedJson out{{"operationId", operation.id}, {"summary", operation.summary}, {"tags", {operation.tag}}};
    OrderedJson parameters = OrderedJson::array();
    for (Field const& field : operation.path_fields) parameters.push_back(render_parameter(field, "path"));
    for (Field const& field : operation.query_fields) parameters.push_back(render_parameter(field, "query"));
    if (!parameters.empty()) out["parameters"] = std::move(parameters);
    if (!operation.body_fields.empty()) out["requestBody"] = render_request_body(operation);

    OrderedJson& responses = out["responses"];
    responses["200"] = {{"description", "Success"},
                        {"content", {{operation.reply_type, {{"schema", render(operation.reply)}}}}}};
    if (operation.reply_type == "application/json") {
        responses["default"] = {
            {"description", "Refused or failed"},
            {"content", {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}};
    }
    if (!operation.needs_token) out["security"] = OrderedJson::array();
    if (!operation.permission.resource.empty()) {
        out["x-permissions"] = OrderedJson::array({{{"resource", operation.permission.resource},
                                                    {"action", operation.permission.action},
                                                    {"own", operation.permission.own}}});
    }
    if (operation.allow_unknown) out["x-allowUnknown"] = true;
    return out;
}

OrderedJson components() {
    return OrderedJson::parse(R"({
        "securitySchemes": {
            "AccessTokenAuth": {"type": "apiKey", "in": "header", "name": "X-Access-Token"},
            "BearerAuth": {"type": "http", "scheme": "bearer"},
            "QueryAuth": {"type": "apiKey", "in": "query", "name": "accessToken"}
        },
        "schemas": {
            "Error": {
                "type": "object",
                "required": ["error"],
                "properties": {
                    "error": {"type": "string", "description": "What went wrong, for people"},
                    "code": {"type": "string", "description": "What went wrong, for programs"},
                    "details": {"type": "object", "additionalProperties": {"type": "string"},
                                "description": "InputValidationError: the first problem of each parameter"}
                }
            }
        }
    })");
}

}  // namespace

OrderedJson openapi_document(ApiInfo const& info, std::vector<Operation const*> const& operations) {
    OrderedJson document{
        {"openapi", "3.0.3"},
        {"info", {{"title", info.title}, {"version", info.version}, {"description", info.description}}}};
    OrderedJson& paths = document["paths"] = OrderedJson::object();
    std::set<std::string> tags;
    for (Operation const* operation : operations) {
        paths[operation->path][to_lower(operation->method)] = render_operation(*operation);
        tags.insert(operation->tag);
    }
    document["components"] = components();
    document["security"] = OrderedJson::array({OrderedJson{{"AccessTokenAuth", OrderedJson::array()}},
                                               OrderedJson{{"BearerAuth", OrderedJson::array()}},
                                               OrderedJson{{"QueryAuth", OrderedJson::array()}}});
    document["tags"] = OrderedJson::array();
    for (auto const& tag : tags) document["tags"].push_back(OrderedJson{{"name", tag}});
    return document;
}

}  // namespace mallard::http
