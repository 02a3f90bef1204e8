#pragma once
// What a migration sees of a store, and what it tells of its progress.

#include <functional>
#include <string_view>

#include "store/documents.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::migrate {

struct Side {
    store::Documents& documents;
    store::MailStore& mail;
    store::SharedState& state;
};

inline constexpr std::string_view stopped_message = "The migration was stopped; run it again to go on";

}  // namespace mallard::migrate
