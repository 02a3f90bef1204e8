#pragma once
// Listener: a bound socket and what is counted for it. Inside net only.

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "base/metrics.hpp"
#include "net/address.hpp"
#include "net/server.hpp"

namespace mallard::net {

struct Listener {
    ListenerConfig config;
    Handler handler;
    int socket = -1;  // owned by the acceptor once that exists
    std::uint16_t port = 0;
    std::vector<Address> proxies;
    bool proxies_all = false;

    std::atomic<std::size_t> live{0};
    metrics::Gauge* live_gauge = nullptr;
    metrics::Counter* total_counter = nullptr;

    bool is_proxy(Address peer) const;
    bool enter_address(Address peer);  // false: too many from there
    void leave_address(Address peer);

private:
    std::mutex mutex_;
    std::map<std::array<unsigned char, 16>, std::size_t> per_address_;
};

// Binds, unless config.socket listens already. The error is one line for the operator: which address, why, what to do.
Result<void> bind_listener(Listener& listener);

void raise_file_limit();  // RLIMIT_NOFILE to its hard limit, or beyond where we may

}  // namespace mallard::net
