#include "http/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/encoding.hpp"
#include "http/formats.hpp"

namespace mallard::http {

namespace rules {
using namespace formats;
Rule const hex{"hex", "", "must only contain hexadecimal characters", is_hex};
Rule const email{"email", "", "must be a valid email", is_email};
Rule const username{"", "^[a-z0-9-]+(?:[._=:][a-z0-9-]+)*(?:@[a-z0-9-]+(?:[._=:][a-z0-9-]+)*)?$", "", is_username,
                    "letters, digits and -, joined by single . _ = or :, with at most one @"};
Rule const ip{"ip", "",
              "must be a valid ip address of one of the following versions [ipv4, ipv6] with a forbidden CIDR", is_ip};
Rule const uri{"uri", "", "must be a valid uri", is_uri};
Rule const target{"uri", "", "must be a valid uri with a scheme matching the smtps?|https? pattern", is_target_uri};
Rule const relay{"uri", "", "must be a valid uri with a scheme matching the smtps? pattern", is_relay_uri};
Rule const base64{"base64", "", "must be a valid base64 string", is_base64};
Rule const cursor{"", "^[A-Za-z0-9_-]*$", "must be a cursor of an earlier page", is_cursor};
Rule const attachment_id{"", "^[Aa][Tt][Tt]\\d+$", "", is_attachment_id, "as ATT00001"};
Rule const message_range{"", "^\\d+(,\\d+)*$|^\\d+:(\\d+|\\*)$", "", is_message_range,
                         "a UID as 5, several as 1,2,3, a range as 3:15 or 3:*"};
Rule const wildcard_address{"", "^(?:[^@\\s]*\\*[^@\\s]*@[^@\\s]+|[^@\\s]+@\\*)$", "", is_wildcard_address,
                            "*@example.com, *suffix@example.com, prefix*@example.com or user@*"};
Rule const no_double_slash{"", "", "must not contain // or end with /", has_no_empty_level};
Rule const pgp_key{"", "^-----BEGIN PGP PUBLIC KEY BLOCK-----", "", is_pgp_key, "an armored OpenPGP key"};
Rule const certificate{"", "^-----BEGIN CERTIFICATE-----", "", is_certificate, "a certificate in PEM"};
}  // namespace rules

namespace {

constexpr double safe_integer_max = 9007199254740991.0;
constexpr std::size_t json_text_max = 1024 * 1024;
constexpr std::size_t path_levels_max = 128, path_level_units_max = 512;

// Where a value stands: "to[0].address" for people, "to,0,address" as the key of `details`.
struct Place {
    std::string label, key;
    Place member(std::string_view name) const {
        if (key.empty()) return {std::string(name), std::string(name)};
        return {fmt::format("{}.{}", label, name), fmt::format("{},{}", key, name)};
    }
    Place element(std::size_t i) const { return {fmt::format("{}[{}]", label, i), fmt::format("{},{}", key, i)}; }
};

using Problems = std::vector<Problem>;

void complain(Problems& problems, Place const& place, std::string_view what) {
    problems.push_back({place.key, fmt::format("\"{}\" {}", place.label, what)});
}

Json to_json(Literal const& literal) {
    return std::visit(
        [](auto const& v) -> Json {
            if constexpr (std::is_same_v<std::decay_t<decltype(v)>, EmptyArray>) {
                return Json::array();
            } else {
                return v;
            }
        },
        literal);
}

bool is_also(Schema const& schema, Json const& value) {
    return std::ranges::any_of(schema.also_, [&](Literal const& literal) { return to_json(literal) == value; });
}

void check(Schema const& schema, Json& value, Place const& place, Problems& problems);

void check_rule(Rule const& rule, std::string const& text, Place const& place, Problems& problems) {
    if (rule.accepts(text)) return;
    if (!rule.problem.empty()) return complain(problems, place, rule.problem);
    complain(problems, place,
             fmt::format("with value \"{}\" fails to match the required pattern: /{}/{}", text, rule.pattern,
                         rule.hint.empty() ? std::string() : fmt::format(" ({})", rule.hint)));
}

void check_path(std::string const& text, Place const& place, Problems& problems) {
    if (!formats::has_no_empty_level(text)) {
        complain(problems, place,
                 fmt::format("with value \"{}\" matches the inverted pattern: /\\/{{2,}}|\\/$/", text));
    }
    std::size_t levels = 0;
    for (std::size_t at = 0; at <= text.size();) {
        auto const end = std::min(text.find('/', at), text.size());
        if (formats::utf16_length(std::string_view(text).substr(at, end - at)) > path_level_units_max) {
            problems.push_back({place.key, "Any part of the mailbox path cannot be longer than 512 chars long"});
            break;
        }
        ++levels;
        at = end + 1;
    }
    if (levels > path_levels_max) {
        problems.push_back({place.key, "The mailbox path cannot be more than 128 levels deep"});
    }
}

void check_text(Schema const& schema, Json& value, Place const& place, Problems& problems) {
    auto& text = value.get_ref<std::string&>();
    if (schema.trim_) text = std::string(trim(text));
    if (schema.lower_) text = to_lower(text);
    if (schema.upper_) text = to_upper(text);
    if (is_also(schema, value)) return;
    if (!schema.values_.empty()) {
        if (std::ranges::find(schema.values_, text) == schema.values_.end()) {
            complain(problems, place, fmt::format("must be one of [{}]", fmt::join(schema.values_, ", ")));
        }
        return;
    }
    if (text.empty()) return complain(problems, place, "is not allowed to be empty");
    auto const units = formats::utf16_length(text);
    for (Rule const* rule : schema.rules_) check_rule(*rule, text, place, problems);
    if (units < schema.min_length_) {
        complain(problems, place, fmt::format("length must be at least {} characters long", schema.min_length_));
    }
    if (units > schema.max_length_) {
        complain(problems, place,
                 fmt::format("length must be less than or equal to {} characters long", schema.max_length_));
    }
    if (schema.exact_length_ != 0 && units != schema.exact_length_) {
        complain(problems, place, fmt::format("length must be {} characters long", schema.exact_length_));
    }
    if (schema.kind == Schema::Kind::path) check_path(text, place, problems);
}

void check_number(Schema const& schema, Json& value, Place const& place, Problems& problems) {
    if (value.is_string()) {
        auto const number = formats::to_number(value.get_ref<std::string const&>());
        if (!number) return complain(problems, place, "must be a number");
        value = *number;
    }
    if (!value.is_number()) return complain(problems, place, "must be a number");
    double const number = value.get<double>();
    if (!std::isfinite(number)) return complain(problems, place, "cannot be infinity");
    if (std::fabs(number) > safe_integer_max) return complain(problems, place, "must be a safe number");
    if (schema.minimum_ && number < *schema.minimum_) {
        complain(problems, place, fmt::format("must be greater than or equal to {}", *schema.minimum_));
    }
    if (schema.maximum_ && number > *schema.maximum_) {
        complain(problems, place, fmt::format("must be less than or equal to {}", *schema.maximum_));
    }
    if (std::trunc(number) == number) value = static_cast<std::int64_t>(number);
}

void check_boolean(Json& value, Place const& place, Problems& problems) {
    if (value.is_boolean()) return;
    if (value.is_number() && (value == 1 || value == 0)) {
        value = value == 1;
        return;
    }
    if (value.is_string()) {
        auto const word = to_lower(trim(value.get_ref<std::string const&>()));
        for (std::string_view yes : {"y", "yes", "true", "on", "1"}) {
            if (word == yes) {
                value = true;
                return;
            }
        }
        for (std::string_view no : {"n", "no", "false", "off", "0"}) {
            if (word == no) {
                value = false;
                return;
            }
        }
    }
    complain(problems, place, "must be a boolean");
}

void check_date(Json& value, Place const& place, Problems& problems) {
    constexpr double date_max = 8.64e15;  // the last moment of a JavaScript date
    std::optional<double> ms;
    if (value.is_number()) ms = value.get<double>();
    if (value.is_string()) {
        auto const& text = value.get_ref<std::string const&>();
        ms = formats::to_number(text);
        if (!ms) {
            if (auto const parsed = parse_any_date(text)) ms = static_cast<double>(*parsed);
        }
    }
    if (!ms || !(std::fabs(*ms) <= date_max))
        return complain(problems, place, "must be a valid date, as 2030-01-31T12:00:00Z");
    value = static_cast<std::int64_t>(*ms);
}

void check_fields(std::vector<Field const*> const& fields, Json& values, bool allow_unknown, Place const& place,
                  Problems& problems) {
    for (Field const* field : fields) {
        auto found = values.find(field->name);
        auto const is_absent = [&] {
            if (found == values.end()) return true;
            if (field->schema.kind == Schema::Kind::boolean && *found == "") return true;
            if (!field->schema.empty_is_absent_ || !found->is_string()) return false;
            auto const& text = found->get_ref<std::string const&>();
            return (field->schema.trim_ ? trim(text) : std::string_view(text)).empty();
        };
        if (is_absent()) {
            if (found != values.end()) values.erase(found);
            if (field->schema.default_) {
                values[field->name] = to_json(*field->schema.default_);
            } else if (field->required) {
                complain(problems, place.member(field->name), "is required");
            }
            continue;
        }
        check(field->schema, *found, place.member(field->name), problems);
    }
    if (allow_unknown) return;
    for (auto const& [name, value] : values.items()) {
        if (std::ranges::none_of(fields, [&](Field const* field) { return field->name == name; })) {
            complain(problems, place.member(name), "is not allowed");
        }
    }
}

void check_array(Schema const& schema, Json& value, Place const& place, Problems& problems) {
    if (!value.is_array()) return complain(problems, place, "must be an array");
    for (std::size_t i = 0; i < value.size(); ++i) check(schema.options_.front(), value[i], place.element(i), problems);
    if (value.size() > schema.max_items_) {
        complain(problems, place, fmt::format("must contain less than or equal to {} items", schema.max_items_));
    }
    if (!schema.unique_) return;
    std::vector<Json const*> sorted;
    for (auto const& item : value) sorted.push_back(&item);
    std::ranges::sort(sorted, [](Json const* a, Json const* b) { return *a < *b; });
    auto const twice = std::ranges::adjacent_find(sorted, [](Json const* a, Json const* b) { return *a == *b; });
    if (twice != sorted.end()) complain(problems, place, "contains a duplicate value");
}

void check_json_object(Json& value, Place const& place, Problems& problems) {
    if (value.is_string()) {
        auto parsed = parse_json(value.get_ref<std::string const&>());
        if (!parsed) return complain(problems, place, "must be a valid JSON object");
        value = std::move(*parsed);
    }
    if (!value.is_object()) return complain(problems, place, "must be of type object");
    std::string compact = value.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (compact.size() > json_text_max)
        return complain(problems, place, "must not be larger than 1 MiB when serialised");
    value = std::move(compact);
}

// "must be a valid email", without the name in front of it.
std::string_view said(http::Problem const& problem, Place const& place) {
    std::string_view text = problem.message;
    auto const label = place.label.size() + 3;  // two quotes and a blank
    return text.size() > label && text.substr(1).starts_with(place.label) ? text.substr(label) : text;
}

void check_alternatives(Schema const& schema, Json& value, Place const& place, Problems& problems) {
    std::vector<std::string> wanted;
    for (Schema const& option : schema.options_) {
        Json copy = value;
        Problems tried;
        check(option, copy, place, tried);
        if (tried.empty()) {
            value = std::move(copy);
            return;
        }
        std::string const what(said(tried.front(), place));
        if (std::ranges::find(wanted, what) == wanted.end()) wanted.push_back(what);
    }
    complain(problems, place, fmt::format("does not match any of the allowed types: {}", fmt::join(wanted, ", or ")));
}

void check_kind(Schema const& schema, Json& value, Place const& place, Problems& problems) {
    switch (schema.kind) {
        case Schema::Kind::text:
        case Schema::Kind::path:
        case Schema::Kind::binary:
            if (!value.is_string()) return complain(problems, place, "must be a string");
            return check_text(schema, value, place, problems);
        case Schema::Kind::number: return check_number(schema, value, place, problems);
        case Schema::Kind::boolean: return check_boolean(value, place, problems);
        case Schema::Kind::date: return check_date(value, place, problems);
        case Schema::Kind::array: return check_array(schema, value, place, problems);
        case Schema::Kind::json_object: return check_json_object(value, place, problems);
        case Schema::Kind::alternatives: return check_alternatives(schema, value, place, problems);
        case Schema::Kind::anything: return;
        case Schema::Kind::object: break;
    }
    if (!value.is_object()) return complain(problems, place, "must be of type object");
    std::vector<Field const*> fields;
    for (Field const& field : schema.fields_) fields.push_back(&field);
    check_fields(fields, value, schema.open_, place, problems);
}

void check(Schema const& schema, Json& value, Place const& place, Problems& problems) {
    if (is_also(schema, value)) return;
    auto const before = problems.size();
    check_kind(schema, value, place, problems);
    if (schema.failover_ && problems.size() > before) {
        problems.resize(before);
        value = *schema.failover_;
    }
}

Schema of(Schema::Kind kind) {
    Schema schema;
    schema.kind = kind;
    return schema;
}

}  // namespace

std::vector<Problem> validate(std::vector<Field const*> const& fields, Json& values, bool allow_unknown) {
    Problems problems;
    check_fields(fields, values, allow_unknown, {}, problems);
    return problems;
}

Field required(std::string name, Schema schema, std::string description) {
    return {std::move(name), std::move(schema), true, std::move(description)};
}
Field optional(std::string name, Schema schema, std::string description) {
    return {std::move(name), std::move(schema), false, std::move(description)};
}

Schema text() { return of(Schema::Kind::text); }
Schema number() { return of(Schema::Kind::number); }
Schema boolean() { return of(Schema::Kind::boolean); }
Schema date() { return of(Schema::Kind::date); }
Schema json_object() { return of(Schema::Kind::json_object); }
Schema anything() { return of(Schema::Kind::anything); }
Schema mailbox_path() { return of(Schema::Kind::path); }
Schema binary() { return of(Schema::Kind::binary); }

Schema object(std::vector<Field> fields) {
    Schema schema = of(Schema::Kind::object);
    schema.fields_ = std::move(fields);
    return schema;
}

Schema open_object() {
    Schema schema = of(Schema::Kind::object);
    schema.open_ = true;
    return schema;
}

Schema array(Schema items) {
    Schema schema = of(Schema::Kind::array);
    schema.options_.push_back(std::move(items));
    return schema;
}

Schema alternatives(std::vector<Schema> options) {
    Schema schema = of(Schema::Kind::alternatives);
    schema.options_ = std::move(options);
    return schema;
}

Schema id() { return text().rule(rules::hex).lower().length(24); }
Schema email() { return text().rule(rules::email); }
Schema username() { return text().lower().rule(rules::username).min(1).max(128); }
Schema ip() { return text().rule(rules::ip); }
Schema cursor() { return text().trim().rule(rules::cursor).max(1024).empty_is_absent(); }
Schema limit() { return number().at_least(1).at_most(250).default_to(20.0); }

}  // namespace mallard::http
