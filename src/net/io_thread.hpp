#pragma once
// IoThread: one network thread: an io_context, the deadlines of its connections, and nothing shared with other threads.

#include <boost/asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "net/timer_wheel.hpp"

namespace boost::asio {
class io_context;
}

namespace mallard::net {

class IoThread {
public:
    explicit IoThread(std::string name);
    ~IoThread();  // stops and joins
    IoThread(IoThread const&) = delete;
    IoThread& operator=(IoThread const&) = delete;

    void start();
    void stop();  // joins; what still waits is destroyed with the IoThread

    boost::asio::io_context& context();
    // From its own thread.
    void schedule(TimerWheel::Timer& timer, std::chrono::milliseconds from_now);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard::net
