#pragma once
// Engine: the store that the configuration names, as the rest of the program sees it: embedded in the data directory,
// or MongoDB and Redis in WildDuck's schema. The only file above the stores that knows there are two.

#include <memory>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "config/settings.hpp"
#include "store/documents.hpp"
#include "store/events.hpp"
#include "store/mail_store.hpp"
#include "store/shared_state.hpp"

namespace mallard::app {

class DataDirectory;

class Engine {
public:
    virtual ~Engine() = default;
    virtual store::Documents& documents() = 0;
    virtual store::MailStore& mail() = 0;
    virtual store::SharedState& state() = 0;
    virtual store::Events& events() = 0;

    // Tells the log what the operator of a server should know of it.
    virtual void tell() const {}
    // Whether other processes and machines work on the same data.
    virtual bool is_shared() const = 0;
    // Who else serves from it at this moment, as names or addresses. not_supported: it cannot be known.
    virtual Result<std::vector<std::string>> others() { return std::vector<std::string>(); }
    virtual std::string_view name() const = 0;  // as `store` in the configuration
    // What signs stored tokens, alike for all who share the data: made once, then kept with it.
    virtual Result<std::string> access_secret() = 0;
    virtual Result<void> adopt_secret(std::string const& secret) = 0;  // of the store that moves here; conflict
};

// What and where the store is, for people, without passwords: "/var/lib/mallard", "mongodb://db1/wildduck and
// redis://…".
std::string describe_store(config::Settings const& settings, DataDirectory const& directory);

// "embedded", "mongodb": the names of `store`. The errors are sentences for the person who started us.
// The caller holds the lock of the directory; `clock` outlives the engine.
Result<std::unique_ptr<Engine>> open_engine(config::Settings const& settings, DataDirectory const& directory,
                                            Clock const& clock);

}  // namespace mallard::app
