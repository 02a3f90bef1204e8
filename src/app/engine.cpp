#include "app/engine.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "app/core.hpp"
#include "app/data_directory.hpp"
#include "base/log.hpp"
#include "base/random.hpp"
#include "mime/message.hpp"
#include "store/cluster/store.hpp"
#include "store/embedded/store.hpp"

namespace mallard::app {

namespace {

constexpr std::size_t secret_bytes = 32;
constexpr std::string_view secret_file = "access-secret";

class EmbeddedEngine final : public Engine {
public:
    EmbeddedEngine(std::unique_ptr<store::embedded::EmbeddedStore> store, DataDirectory directory)
        : store_(std::move(store)), directory_(std::move(directory)) {}
    store::Documents& documents() override { return store_->documents(); }
    store::MailStore& mail() override { return store_->mail(); }
    store::SharedState& state() override { return store_->state(); }
    store::Events& events() override { return store_->events(); }
    bool is_shared() const override { return false; }
    std::string_view name() const override { return "embedded"; }
    Result<std::string> access_secret() override {
        if (auto const kept = directory_.read(secret_file); kept && !kept->empty()) return *kept;
        std::string const fresh = random_hex(secret_bytes);
        MALLARD_TRY(directory_.write_private(secret_file, fresh + "\n"));
        return fresh;
    }
    Result<void> adopt_secret(std::string const& secret) override {
        return directory_.write_private(secret_file, secret + "\n");
    }

private:
    std::unique_ptr<store::embedded::EmbeddedStore> store_;
    DataDirectory directory_;
};

class ClusterEngine final : public Engine {
public:
    explicit ClusterEngine(std::unique_ptr<store::cluster::ClusterStore> store) : store_(std::move(store)) {}
    store::Documents& documents() override { return store_->documents(); }
    store::MailStore& mail() override { return store_->mail(); }
    store::SharedState& state() override { return store_->state(); }
    store::Events& events() override { return store_->events(); }
    void tell() const override {
        auto const& features = store_->mongo().features();
        if (std::string const missing = store::cluster::lacks(features); !missing.empty())
            log(LogLevel::warning, {"store"},
                "the database is no MongoDB; what it lacks is worked around, as for tests",
                {{"server", features.server}, {"lacks", missing}});
    }
    bool is_shared() const override { return true; }
    Result<std::vector<std::string>> others() override { return store_->events().listeners_elsewhere(); }
    std::string_view name() const override { return "mongodb"; }
    Result<std::string> access_secret() override {
        return store_->shared_secret(secret_file, random_hex(secret_bytes));
    }
    Result<void> adopt_secret(std::string const& secret) override {
        MALLARD_TRY_ASSIGN(auto const kept, store_->shared_secret(secret_file, secret));
        if (kept == secret) return {};
        return fail(ErrorKind::conflict, "the database has a secret of its own that signs tokens: it is in use");
    }

private:
    std::unique_ptr<store::cluster::ClusterStore> store_;
};

Result<std::unique_ptr<Engine>> open_embedded(config::Settings const& settings, DataDirectory const& directory,
                                              Clock const& clock) {
    store::embedded::EmbeddedConfig config;
    config.directory = directory.file("store");
    config.block_cache_bytes = megabytes(settings, "embedded.cacheMB");
    MALLARD_TRY_ASSIGN(auto store, store::embedded::EmbeddedStore::open(config, clock));
    return std::make_unique<EmbeddedEngine>(std::move(store), directory);
}

// What Mallard derives of a message, for those that WildDuck stored.
store::MessageRecord derive_record(std::string_view source, TimeMs internal_date) {
    auto const tree = mime::parse(source);
    return mailboxes::derive(source, tree, {}, internal_date, {}).record;
}

Result<std::unique_ptr<Engine>> open_cluster(config::Settings const& settings, Clock const& clock) {
    store::cluster::ClusterConfig config;
    config.mongo.url = settings.text("dbs.mongo");
    config.mongo.users = settings.text("dbs.users");
    config.mongo.gridfs = settings.text("dbs.gridfs");
    // A command holds one connection at a time.
    auto const threads = settings.integer("server.commandThreads") + settings.integer("server.longThreads");
    config.mongo.pool_max = std::max(config.mongo.pool_max, static_cast<unsigned>(threads));
    config.redis_url = settings.text("dbs.redis");
    std::string const& name = settings.text("dbs.workerId");
    config.events.worker_id = fmt::format("{}:{}", name.empty() ? host_name() : name, ::getpid());
    config.events.worker_ttl = std::chrono::seconds(settings.integer("imap.notifyUserWorkersTtl"));
    config.events.worker_refresh = std::chrono::seconds(settings.integer("imap.notifyUserWorkersRefresh"));
    config.derive = derive_record;
    MALLARD_TRY_ASSIGN(auto store, store::cluster::ClusterStore::open(std::move(config), clock));
    return std::make_unique<ClusterEngine>(std::move(store));
}

}  // namespace

std::string describe_store(config::Settings const& settings, DataDirectory const& directory) {
    if (settings.text("store") != "mongodb") return directory.path().string();
    return fmt::format("{} and {}", store::cluster::without_login(settings.text("dbs.mongo")),
                       store::cluster::without_login(settings.text("dbs.redis")));
}

Result<std::unique_ptr<Engine>> open_engine(config::Settings const& settings, DataDirectory const& directory,
                                            Clock const& clock) {
    if (settings.text("store") == "mongodb") return open_cluster(settings, clock);
    return open_embedded(settings, directory, clock);
}

}  // namespace mallard::app
