#include "net/workers.hpp"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/log.hpp"

namespace mallard::net {

namespace {

namespace asio = boost::asio;

// One thread's sleep: a futex, because a condition variable would take the pool's lock again on waking.
class Sleeper {
public:
    void sleep() {
        while (woken_.exchange(0, std::memory_order_acquire) == 0)
            ::syscall(SYS_futex, &woken_, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
    void wake() {
        woken_.store(1, std::memory_order_release);
        ::syscall(SYS_futex, &woken_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }

private:
    std::atomic<std::uint32_t> woken_{0};
};

// Threads start when first needed. Idle ones form a stack, so that few stay warm. At most one is on its way out of
// sleep at a time: when it takes its work and finds more, it wakes the next. So a burst costs the poster one wake-up,
// and short work is done by the threads that are awake already.
class ThreadPool {
public:
    ThreadPool(std::string name, std::size_t threads_max)
        : name_(std::move(name)), threads_max_(std::max<std::size_t>(threads_max, 1)) {}

    ~ThreadPool() {
        {
            std::lock_guard const lock(mutex_);
            stopping_ = true;
            for (Sleeper* idle : idle_) idle->wake();
            idle_.clear();
        }
        for (std::thread& thread : threads_) thread.join();
    }

    void post(std::function<void()> work) {
        std::unique_lock lock(mutex_);
        queue_.push_back(std::move(work));
        wake_one(lock);
    }

private:
    void wake_one(std::unique_lock<std::mutex>& lock) {
        if (waking_ || queue_.empty()) return;
        if (!idle_.empty()) {
            waking_ = true;
            Sleeper* const idle = idle_.back();
            idle_.pop_back();
            lock.unlock();
            idle->wake();
        } else if (threads_.size() < threads_max_ && !stopping_) {
            try {
                threads_.emplace_back([this] { run(); });
                waking_ = true;
            } catch (std::system_error const&) {  // the system has no more threads: those that run must do
                if (threads_.empty()) throw;
            }
        }
    }

    void run() {
        ::pthread_setname_np(::pthread_self(), name_.c_str());
        Sleeper sleeper;
        std::unique_lock lock(mutex_);
        bool woken = true;
        for (;;) {
            if (woken) waking_ = false;
            woken = false;
            if (queue_.empty()) {
                if (stopping_) return;
                idle_.push_back(&sleeper);
                lock.unlock();
                sleeper.sleep();
                lock.lock();
                woken = true;
                continue;
            }
            std::function<void()> work = std::move(queue_.front());
            queue_.pop_front();
            wake_one(lock);
            if (lock.owns_lock()) lock.unlock();
            run_one(work);
            work = nullptr;
            lock.lock();
        }
    }

    static void run_one(std::function<void()> const& work) {
        try {
            work();
        } catch (std::exception const& error) {
            log(LogLevel::error, {.component = "workers"}, "exception in posted work", {{"error", error.what()}});
        } catch (...) {
            log(LogLevel::error, {.component = "workers"}, "exception in posted work");
        }
    }

    std::string name_;
    std::size_t threads_max_;
    std::mutex mutex_;
    std::deque<std::function<void()>> queue_;
    std::vector<Sleeper*> idle_;
    std::vector<std::thread> threads_;
    bool waking_ = false;
    bool stopping_ = false;
};

}  // namespace

struct Workers::Impl {
    ThreadPool commands;
    ThreadPool long_work;
    std::atomic<std::size_t> runs{0};  // coroutines whose resumption has not been posted yet

    Impl(std::size_t command_threads, std::size_t long_threads)
        : commands("command", command_threads), long_work("long-work", long_threads) {}
};

Workers::Workers(std::size_t command_threads, std::size_t long_threads)
    : impl_(std::make_unique<Impl>(command_threads, long_threads)) {}

Workers::~Workers() = default;

void Workers::post(Pool pool, std::function<void()> work) {
    (pool == Pool::commands ? impl_->commands : impl_->long_work).post(std::move(work));
}

void Workers::both(Pool pool, std::function<void()> const& own, std::function<void()> other) {
    struct Half {
        std::function<void()> work;
        std::exception_ptr failure;
        std::atomic<bool> taken{false}, done{false};
        void run() {
            try {
                work();
            } catch (...) {
                failure = std::current_exception();
            }
        }
    };
    auto const half = std::make_shared<Half>();
    half->work = std::move(other);
    post(pool, [half] {
        if (half->taken.exchange(true)) return;  // too late: `work` may look at what is gone
        half->run();
        half->done.store(true);
        half->done.notify_one();
    });
    std::exception_ptr failure;
    try {
        own();
    } catch (...) {
        failure = std::current_exception();
    }
    if (half->taken.exchange(true))
        half->done.wait(false);
    else if (!failure)
        half->run();
    if (failure) std::rethrow_exception(failure);
    if (half->failure) std::rethrow_exception(half->failure);
}

void Workers::wait_for_runs() {
    while (impl_->runs.load(std::memory_order_acquire) != 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

Async<void> Workers::run(Pool pool, std::function<void()> work) {
    // `work` lives in this coroutine, which does not move while it waits.
    auto start = [this, pool, &work](auto handler) {
        auto shared = std::make_shared<decltype(handler)>(std::move(handler));  // std::function wants copies
        impl_->runs.fetch_add(1, std::memory_order_relaxed);
        post(pool, [this, &work, shared = std::move(shared)] {
            std::exception_ptr failure;
            try {
                work();
            } catch (...) {
                failure = std::current_exception();
            }
            auto const executor = asio::get_associated_executor(*shared);
            asio::post(executor, [handler = std::move(*shared), failure]() mutable { std::move(handler)(failure); });
            impl_->runs.fetch_sub(1, std::memory_order_release);
        });
    };
    co_await asio::async_initiate<asio::deferred_t const, void(std::exception_ptr)>(start, asio::deferred);
}

}  // namespace mallard::net
