#pragma once
// Administration: the way from the command line to the store. A running server is asked over its control socket; when
// none runs, the store is opened here and the same code serves the same protocol over a socket pair.

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>

#include "app/control_protocol.hpp"
#include "app/core.hpp"

namespace mallard::app {

class Administration {
public:
    static Result<std::unique_ptr<Administration>> open(config::Settings const& settings, std::string_view role);
    ~Administration();

    bool is_remote() const { return core_ == nullptr; }  // a server has the store

    // A channel of one's own, e.g. for a thread. It must be gone before this object.
    Result<Channel> connect();

    using OnProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;
    // One request without bytes; its result.
    Result<Json> call(Json const& request, OnProgress const& progress = {});

private:
    explicit Administration(DataDirectory directory) : directory_(std::move(directory)) {}

    DataDirectory directory_;
    std::unique_ptr<DataDirectory::Lock> lock_;  // only when the store is opened here
    std::unique_ptr<Core> core_;
    std::list<std::thread> threads_;
};

// The result of the request just sent; calls progress on the way.
Result<Json> receive_result(Channel& channel, Administration::OnProgress const& progress = {});

}  // namespace mallard::app
