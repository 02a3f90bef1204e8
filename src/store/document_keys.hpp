#pragma once
// Keys of Documents: BSON values as bytes that sort as MongoDB sorts the values (null, numbers, text, documents,
// arrays, binary, ids, booleans, dates), each ending itself, so that several in a row sort field by field. Pure.

#include <string>
#include <string_view>
#include <vector>

#include "store/documents.hpp"

namespace mallard::store {

void append_key(std::string& out, bson::Value const& value);
std::string key_of(bson::Value const& value);
// The bounds of all values of the same type as `value`: [first, second).
std::pair<std::string, std::string> type_bounds(bson::Value const& value);

// The keys under which an index lists a document, sorted, without doubles: one per element where a field is an array
// (as MongoDB's multikey indexes); none when a sparse index leaves it out.
std::vector<std::string> index_keys(IndexSpec const& index, bson::Document const& document);

// The values at a dotted path: none where it is absent, each element where it is an array.
std::vector<bson::Value> values_at(bson::Document const& document, std::string_view path);
// The values of which `key`, one of index_keys(index, document), is made.
std::vector<bson::Value> values_of_key(IndexSpec const& index, bson::Document const& document, std::string_view key);

// The keys a query spans, [first, last), of its index (of the bare id where it names none); `last` empty: to the end.
struct KeySpan {
    std::string first, last;
    bool contains(std::string_view key) const { return key >= first && (last.empty() || key < last); }
};
KeySpan key_span_of(Query const& query);

}  // namespace mallard::store
