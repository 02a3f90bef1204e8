#pragma once
// Schema: what a parameter or a reply looks like, declared once. Validation (api.md §4) and the OpenAPI document are
// both made from it.
//
// - validate() converts in place: numbers and booleans from strings, dates to milliseconds, ids to lower case.
// - All problems are reported, in the order of the declaration, unknown parameters last.
// - Lengths are counted in UTF-16 units, as clients of the API count them.
// Pure; a Schema is immutable once built and may be read from any thread.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "http/json.hpp"

namespace mallard::http {

struct Field;

struct EmptyArray {};
using Literal = std::variant<std::nullptr_t, bool, double, std::string, EmptyArray>;

// A test of a string beyond its length. `pattern` is what the OpenAPI document and error messages show.
struct Rule {
    std::string_view format;   // OpenAPI format, or empty
    std::string_view pattern;  // without slashes, or empty
    std::string_view problem;  // after the label: "must be a valid email"
    bool (*accepts)(std::string_view text) = nullptr;
    std::string_view hint = {};  // what the pattern says, for people
};

struct Schema {
    enum class Kind {
        text,
        number,
        boolean,      // y yes true on 1, n no false off 0
        date,         // ISO 8601, RFC 5322 or ms; becomes ms
        object,       // `fields`
        array,        // of `items`
        json_object,  // an object, or JSON text of one; becomes compact JSON text
        alternatives,
        anything,
        path,    // of a mailbox
        binary,  // replies only
    };
    Kind kind = Kind::anything;

    bool trim_ = false, lower_ = false, upper_ = false;
    std::size_t min_length_ = 0, max_length_ = SIZE_MAX, exact_length_ = 0;
    std::vector<Rule const*> rules_;
    std::vector<std::string> values_;  // exclusive
    std::optional<double> minimum_, maximum_;
    bool empty_is_absent_ = false;
    std::vector<Literal> also_;
    std::optional<Literal> default_;
    std::optional<std::string> failover_;  // replaces what fails
    std::size_t max_items_ = SIZE_MAX;
    bool unique_ = false;
    std::vector<Field> fields_;
    std::vector<Schema> options_;  // items: exactly one; alternatives: all
    bool open_ = false;            // objects of replies whose keys are not fixed

    Schema& trim() { return trim_ = true, *this; }
    Schema& lower() { return lower_ = true, *this; }
    Schema& upper() { return upper_ = true, *this; }
    Schema& min(std::size_t n) { return min_length_ = n, *this; }
    Schema& max(std::size_t n) { return max_length_ = n, *this; }
    Schema& length(std::size_t n) { return exact_length_ = n, *this; }
    Schema& rule(Rule const& r) { return rules_.push_back(&r), *this; }
    Schema& one_of(std::vector<std::string> values) { return values_ = std::move(values), *this; }
    Schema& at_least(double n) { return minimum_ = n, *this; }
    Schema& at_most(double n) { return maximum_ = n, *this; }
    Schema& empty_is_absent() { return empty_is_absent_ = true, *this; }
    Schema& also(Literal value) { return also_.push_back(std::move(value)), *this; }
    Schema& default_to(Literal value) { return default_ = std::move(value), *this; }
    Schema& failover(std::string value) { return failover_ = std::move(value), *this; }
    Schema& max_items(std::size_t n) { return max_items_ = n, *this; }
    Schema& unique() { return unique_ = true, *this; }
};

struct Field {
    std::string name;
    Schema schema;
    bool required = false;
    std::string description;
};

Field required(std::string name, Schema schema, std::string description = {});
Field optional(std::string name, Schema schema, std::string description = {});

Schema text();
Schema number();
Schema boolean();
Schema date();
Schema object(std::vector<Field> fields);
Schema open_object();
Schema array(Schema items);
Schema json_object();
Schema alternatives(std::vector<Schema> options);
Schema anything();
Schema mailbox_path();
Schema binary();

// Often used ones.
Schema id();  // 24 hex, lower-cased
Schema email();
Schema username();  // api.md §4
Schema ip();
Schema cursor();  // api.md §6
Schema limit();   // 1..250, default 20

namespace rules {
extern Rule const hex, email, username, ip, uri, target, relay, base64, cursor, attachment_id, message_range,
    wildcard_address, no_double_slash, pgp_key, certificate;
}

struct Problem {
    std::string path;     // "to,0,address"
    std::string message;  // "\"to[0].address\" must be a valid email"
};

// Converts `values` (an object) in place.
std::vector<Problem> validate(std::vector<Field const*> const& fields, Json& values, bool allow_unknown);

// ISO 8601 UTC with milliseconds.
std::string iso_date(std::int64_t ms);
std::optional<std::int64_t> parse_any_date(std::string_view text);

}  // namespace mallard::http
