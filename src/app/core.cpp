#include "app/core.hpp"

#include <unistd.h>

#include <array>
#include <filesystem>

#include "base/spool.hpp"

namespace mallard::app {

namespace {

constexpr std::int64_t mebibyte = 1024 * 1024;

Result<accounts::AccountsConfig> accounts_config(config::Settings const& settings, Engine& store) {
    accounts::AccountsConfig out;
    out.email_domain = settings.text("emailDomain").empty() ? host_name() : settings.text("emailDomain");
    out.max_storage = settings.integer("maxStorage") * mebibyte;
    out.max_recipients = settings.integer("maxRecipients");
    out.max_forwards = settings.integer("maxForwards");
    out.imap_max_connections = settings.integer("imap.maxConnections");
    out.imap_max_download = settings.integer("imap.maxDownloadMB") * mebibyte;
    out.imap_max_upload = settings.integer("imap.maxUploadMB") * mebibyte;
    out.pop3_max_messages = settings.integer("pop3.maxMessages");
    out.pop3_max_download = settings.integer("pop3.maxDownloadMB") * mebibyte;
    out.user_failures_max = static_cast<int>(settings.integer("auth.userFailuresMax"));
    out.address_failures_max = static_cast<int>(settings.integer("auth.addressFailuresMax"));
    // Another process may change the password of a shared store's user, and this one would not hear of it.
    out.login_cache_seconds = store.is_shared() ? 0 : static_cast<int>(settings.integer("auth.loginCacheSeconds"));
    out.pbkdf2_iterations = static_cast<int>(settings.integer("auth.pbkdf2Iterations"));
    out.token_ttl = settings.integer("api.accessControl.tokenTTL");
    out.token_lifetime = settings.integer("api.accessControl.tokenLifetime");
    out.access_secret = settings.text("api.accessControl.secret");
    if (out.access_secret.empty()) {
        MALLARD_TRY_ASSIGN(out.access_secret, store.access_secret());
    }
    return out;
}

}  // namespace

std::uint64_t megabytes(config::Settings const& settings, std::string_view key) {
    return static_cast<std::uint64_t>(settings.integer(key) * mebibyte);
}

std::string host_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
    return name.data();
}

Result<std::unique_ptr<Core>> open_core(config::Settings const& settings, DataDirectory const& directory) {
    std::filesystem::create_directories(directory.path() / "spool");
    Spool::set_directory(directory.file("spool"));  // large messages must not fill /tmp

    auto core = std::make_unique<Core>();
    MALLARD_TRY_ASSIGN(core->store, open_engine(settings, directory, core->clock));
    MALLARD_TRY_ASSIGN(auto const accounts, accounts_config(settings, *core->store));
    core->accounts =
        std::make_unique<accounts::Accounts>(core->store->documents(), core->store->state(), core->store->mail(),
                                             core->store->events(), core->clock, accounts);
    MALLARD_TRY(core->accounts->open());
    mailboxes::Policy policy;
    policy.message_bytes_max = std::max(megabytes(settings, "imap.maxMB"), megabytes(settings, "lmtp.maxMB"));
    core->mailboxes = std::make_unique<mailboxes::Mailboxes>(core->store->mail(), *core->accounts, core->clock, policy);
    core->delivery = std::make_unique<delivery::Delivery>(*core->accounts, *core->mailboxes, core->clock);
    return core;
}

}  // namespace mallard::app
