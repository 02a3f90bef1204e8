// From libmongoc's errors to ours.
#include "store/cluster/mongo_internal.hpp"

namespace mallard::store::cluster {

namespace {

// MongoDB's error codes (its error_codes.yml).
enum Code : std::int64_t {
    bad_value = 2,
    host_unreachable = 6,
    host_not_found = 7,
    failed_to_parse = 9,
    unauthorized = 13,
    type_mismatch = 14,
    authentication_failed = 18,
    illegal_operation = 20,
    namespace_not_found = 26,
    index_not_found = 27,
    path_not_viable = 28,
    conflicting_update_operators = 40,
    cursor_not_found = 43,
    max_time_ms_expired = 50,
    dollar_prefixed_field_name = 52,
    empty_field_name = 56,
    command_not_found = 59,
    write_concern_failed = 64,
    immutable_field = 66,
    network_timeout = 89,
    shutdown_in_progress = 91,
    write_conflict = 112,
    command_not_supported = 115,
    failed_to_satisfy_read_preference = 133,
    read_concern_majority_not_available_yet = 134,
    network_error = 141,
    query_plan_killed = 175,
    primary_stepped_down = 189,
    network_interface_exceeded_time_limit = 202,
    cursor_killed = 237,
    not_implemented = 238,
    exceeded_time_limit = 262,
    socket_exception = 9001,
    not_writable_primary = 10107,
    object_too_large = 10334,
    duplicate_key = 11000,
    interrupted_at_shutdown = 11600,
    interrupted = 11601,
    interrupted_by_step_down = 11602,
    not_primary_no_secondary_ok = 13435,
    not_primary_or_secondary = 13436,
    document_too_large = 17419,
};

constexpr std::string_view come_back = "The database cannot be reached, try again later";

// "E11000 duplicate key error collection: db.users index: users_dotless dup key: {...}"
std::string index_in(std::string_view message) {
    auto const at = message.find("index: ");
    if (at == std::string_view::npos) return {};
    auto const rest = message.substr(at + 7);
    auto name = rest.substr(0, rest.find(' '));
    // Old servers: "index: wildduck.users.$users_dotless"
    if (auto const dollar = name.rfind(".$"); dollar != std::string_view::npos) name = name.substr(dollar + 2);
    return std::string(name);
}

Fate fate_of_code(std::int64_t code) {
    switch (code) {
        case not_writable_primary:
        case not_primary_no_secondary_ok:
        case not_primary_or_secondary:
        case failed_to_satisfy_read_preference:
        case read_concern_majority_not_available_yet:
        case write_conflict: return Fate::not_reached;
        case host_unreachable:
        case host_not_found:
        case network_timeout:
        case network_error:
        case socket_exception:
        case shutdown_in_progress:
        case primary_stepped_down:
        case interrupted_at_shutdown:
        case interrupted_by_step_down:
        case exceeded_time_limit:
        case network_interface_exceeded_time_limit:
        case cursor_not_found:  // the cursors of a primary go with its office
        case cursor_killed:
        case query_plan_killed:
        case interrupted:
        case write_concern_failed: return Fate::unknown;
        default: return Fate::refused;
    }
}

ErrorKind kind_of_code(std::int64_t code) {
    switch (code) {
        case duplicate_key: return ErrorKind::already_exists;
        case max_time_ms_expired: return ErrorKind::timeout;
        case namespace_not_found:
        case index_not_found: return ErrorKind::not_found;
        case command_not_found:
        case command_not_supported:
        case not_implemented: return ErrorKind::not_supported;
        case object_too_large:
        case document_too_large: return ErrorKind::too_large;
        case bad_value:
        case failed_to_parse:
        case type_mismatch:
        case illegal_operation:
        case path_not_viable:
        case conflicting_update_operators:
        case dollar_prefixed_field_name:
        case empty_field_name:
        case immutable_field: return ErrorKind::invalid;
        default: return ErrorKind::io;
    }
}

thread_local bool met_doubt = false;

}  // namespace

void forget_doubt() { met_doubt = false; }
bool is_in_doubt() { return met_doubt; }

void note_doubt(mongoc_apm_command_failed_t const* event) {
    bson_error_t error;
    mongoc_apm_command_failed_get_error(event, &error);
    if (failure_of(error, mongoc_apm_command_failed_get_reply(event)).fate == Fate::unknown) met_doubt = true;
}

void note_doubt(mongoc_apm_command_succeeded_t const* event) {
    bson_iter_t at;
    if (bson_iter_init_find(&at, mongoc_apm_command_succeeded_get_reply(event), "writeConcernError")) met_doubt = true;
}

Error MongoClient::Impl::not_there() {
    return {ErrorKind::unavailable, std::string(come_back), "it was away a moment ago"};
}

Error error_of_code(std::int64_t code, std::string_view message) {
    std::string const context = "MongoDB " + std::to_string(code) + ": " + std::string(message);
    if (fate_of_code(code) != Fate::refused) return {ErrorKind::unavailable, std::string(come_back), context};
    if (code == duplicate_key) return {ErrorKind::already_exists, "It exists already", index_in(message)};
    switch (code) {
        case unauthorized:
        case authentication_failed: return {ErrorKind::io, "The database refuses the server's login", context};
        case max_time_ms_expired: return {ErrorKind::timeout, "The database took too long", context};
        default: return {kind_of_code(code), "The database refused this", context};
    }
}

Failure failure_of(bson_error_t const& error, bson_t const* reply) {
    std::string_view const message = error.message;
    switch (error.domain) {
        case MONGOC_ERROR_SERVER_SELECTION:
            if (error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
                return {{ErrorKind::io, "The database refuses the server's login", std::string(message)}};
            return {{ErrorKind::unavailable, std::string(come_back), std::string(message)}, Fate::not_reached};
        case MONGOC_ERROR_STREAM:
            return {{ErrorKind::unavailable, std::string(come_back), std::string(message)}, Fate::unknown};
        case MONGOC_ERROR_CLIENT:
            if (error.code == MONGOC_ERROR_CLIENT_AUTHENTICATE)
                return {{ErrorKind::io, "The database refuses the server's login", std::string(message)}};
            return {{ErrorKind::internal, "Internal error", std::string(message)}};
        case MONGOC_ERROR_SERVER:
        case MONGOC_ERROR_COLLECTION:
        case MONGOC_ERROR_QUERY:
        case MONGOC_ERROR_COMMAND: {
            // The server knows more reasons to come back than we do.
            bool const label = reply != nullptr && mongoc_error_has_label(reply, "RetryableWriteError");
            if (label && fate_of_code(error.code) == Fate::refused)
                return {{ErrorKind::unavailable, std::string(come_back), std::string(message)}, Fate::unknown};
            return {error_of_code(error.code, message), fate_of_code(error.code)};
        }
        case MONGOC_ERROR_WRITE_CONCERN:
            return {{ErrorKind::unavailable, std::string(come_back), std::string(message)}, Fate::unknown};
        default: break;
    }
    return {{ErrorKind::io, "The database failed",
             std::to_string(error.domain) + "/" + std::to_string(error.code) + ": " + std::string(message)}};
}

std::int64_t Reply::integer(char const* key) const {
    bson_iter_t at;
    return bson_iter_init_find(&at, &bson_, key) ? bson_iter_as_int64(&at) : 0;
}

std::string_view bytes_of(bson_t const& bson) {
    return {reinterpret_cast<char const*>(bson_get_data(&bson)), bson.len};
}

Result<bson::Document> Reply::document() const {
    bson_t copy = BSON_INITIALIZER;
    // Their kinds of values (timestamps) are none of ours.
    bson_copy_to_excluding_noinit(&bson_, &copy, "operationTime", "$clusterTime", "opTime", "electionId", "lastWrite",
                                  nullptr);
    auto result = bson::Document::decode(bytes_of(copy));
    bson_destroy(&copy);
    return result;
}

}  // namespace mallard::store::cluster
