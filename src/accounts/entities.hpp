#pragma once
// The collections of accounts and their documents (storage.md §3), to and from structs. Pure.

#include <string>
#include <vector>

#include "accounts/user.hpp"
#include "store/bson.hpp"
#include "store/documents.hpp"

namespace mallard::accounts {

// Functions rather than objects: constructed on first use, whatever the order of start.
store::Collection const& users_collection();
store::Collection const& deleted_users_collection();
store::Collection const& addresses_collection();
store::Collection const& domain_aliases_collection();
store::Collection const& domain_cache_collection();
store::Collection const& asps_collection();
store::Collection const& authlog_collection();
store::Collection const& tasks_collection();
store::Collection const& dkim_collection();     // here only for the renaming of a domain
store::Collection const& filters_collection();  // these three only to go with their user
store::Collection const& autoreplies_collection();
store::Collection const& address_register_collection();

User user_from(bson::Document const& document);
// As it is inserted: disabled, not activated, without password and address (storage.md §17.1).
bson::Document user_document(UserId id, std::string const& username, NewUser const& user, TimeMs now);

bson::Document relay_document(std::string const& url);

Address address_from(bson::Document const& document);
bson::Document address_document(Address const& address);
bson::Document autoreply_document(Autoreply const& reply);

bson::Value level_value(double level);  // a whole number as int32 (storage.md §1)

// Trimmed, without doubles whatever the case, sorted without case (api.md §7).
std::vector<std::string> normal_tags(std::vector<std::string> const& tags);
// As normal_tags() with their lower-case view, by which they are found. A new document without tags has neither field.
void set_tags(bson::Document& document, std::vector<std::string> const& tags);
void set_tags(store::Update& update, std::vector<std::string> const& tags);
bson::Array to_array(std::vector<std::string> const& texts);
bson::Array to_array(std::vector<Target> const& targets);

}  // namespace mallard::accounts
