#pragma once
// Core: the store and the domain above it, built once from the settings: what the server serves, and what a command
// works on when no server runs.

#include <memory>

#include "accounts/accounts.hpp"
#include "app/data_directory.hpp"
#include "app/engine.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "config/settings.hpp"
#include "delivery/delivery.hpp"
#include "mailboxes/mailboxes.hpp"

namespace mallard::app {

struct Core {
    SystemClock clock;
    std::unique_ptr<Engine> store;
    std::unique_ptr<accounts::Accounts> accounts;
    std::unique_ptr<mailboxes::Mailboxes> mailboxes;
    std::unique_ptr<delivery::Delivery> delivery;
};

// The caller holds the lock of the directory.
Result<std::unique_ptr<Core>> open_core(config::Settings const& settings, DataDirectory const& directory);

// imap.maxMB and its like, in bytes.
std::uint64_t megabytes(config::Settings const& settings, std::string_view key);
std::string host_name();  // of this machine

}  // namespace mallard::app
