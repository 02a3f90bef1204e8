#pragma once
// ClusterStore: the store of many machines, opened and joined: MongoDB, Redis, WildDuck's indexes, and a thread that
// frees what nothing points at any more. Any number of processes may have the same one open at once, and WildDuck's
// beside them.
// - The errors of open() are sentences for the person who started us, and name the option; they come within some
//   seconds.

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "store/cluster/documents.hpp"
#include "store/cluster/events.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/mongo_client.hpp"
#include "store/cluster/redis_client.hpp"
#include "store/cluster/shared_state.hpp"

namespace mallard::store::cluster {

struct ClusterConfig {
    MongoConfig mongo;
    std::string redis_url = "redis://127.0.0.1:6379/3";
    EventsConfig events;
    DeriveRecord derive;
    bool upkeep = true;                     // the thread; without it, call mail().sweep()
    std::chrono::seconds upkeep_pause{60};  // of all processes together
};

class ClusterStore {
public:
    static Result<std::unique_ptr<ClusterStore>> open(ClusterConfig config, Clock const& clock);
    virtual ~ClusterStore() = default;  // stops the threads

    virtual Documents& documents() = 0;
    virtual MailStore& mail() = 0;
    virtual SharedState& state() = 0;
    virtual ClusterEvents& events() = 0;
    virtual MongoClient& mongo() = 0;
    virtual RedisClient& redis() = 0;

    // A value that all processes of the installation share and that no API shows: the one that is stored, or `fresh`,
    // stored now. Of several processes that come at once, all get the same.
    virtual Result<std::string> shared_secret(std::string_view name, std::string_view fresh) = 0;
};

// A database's URL (or Redis' object) for people: "mongodb://h1,h2/db", without user, password and options.
std::string without_login(std::string const& url);
// What the database lacks, as words: "partial indexes, TTL indexes". Empty for MongoDB.
std::string lacks(MongoFeatures const& features);

}  // namespace mallard::store::cluster
