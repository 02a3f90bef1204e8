#include "net/io_thread.hpp"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <thread>
#include <utility>

#include "base/log.hpp"

namespace mallard::net {

namespace {
using Clock = std::chrono::steady_clock;
}

struct IoThread::Impl {
    std::string name;
    TimerWheel wheel{Clock::now()};
    boost::asio::io_context context{1};  // destroyed before the wheel that its connections use
    boost::asio::steady_timer ticker{context};
    std::thread thread;

    void tick() {
        ticker.expires_after(TimerWheel::tick);
        ticker.async_wait([this](boost::system::error_code const& error) {
            if (error) return;
            wheel.advance(Clock::now());
            tick();
        });
    }

    void run() {
        ::pthread_setname_np(::pthread_self(), name.c_str());
        auto const guard = boost::asio::make_work_guard(context);
        tick();
        for (;;) {
            try {
                context.run();
                return;
            } catch (std::exception const& error) {
                // Every connection catches its own; this is a bug, and no reason to drop everybody else.
                log(LogLevel::error, {.component = "net"}, "exception in network thread", {{"error", error.what()}});
            }
        }
    }
};

IoThread::IoThread(std::string name) : impl_(std::make_unique<Impl>()) { impl_->name = std::move(name); }

IoThread::~IoThread() { stop(); }

void IoThread::start() {
    impl_->thread = std::thread([this] { impl_->run(); });
}

void IoThread::stop() {
    impl_->context.stop();
    if (impl_->thread.joinable()) impl_->thread.join();
}

boost::asio::io_context& IoThread::context() { return impl_->context; }

void IoThread::schedule(TimerWheel::Timer& timer, std::chrono::milliseconds from_now) {
    impl_->wheel.schedule(timer, Clock::now() + from_now);
}

}  // namespace mallard::net
