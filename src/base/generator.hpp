#pragma once
// Generator<T>: a synchronous coroutine that is pulled: while (auto* value = generator.next()) use(*value);
// (std::generator is not in libstdc++ 12.) Not thread-safe; may be pulled from different threads one after the other.

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace mallard {

template <class T>
class [[nodiscard]] Generator {
public:
    struct promise_type {
        std::optional<T> value;
        std::exception_ptr exception;

        Generator get_return_object() { return Generator(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_always initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        std::suspend_always yield_value(T v) {
            value.emplace(std::move(v));
            return {};
        }
        void return_void() {}
        void unhandled_exception() { exception = std::current_exception(); }
    };

    Generator() = default;
    Generator(Generator&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Generator& operator=(Generator&& other) noexcept {
        if (this != &other) {
            if (handle_) handle_.destroy();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Generator() {
        if (handle_) handle_.destroy();
    }

    // The next value, valid until the next call; nullptr at the end. Rethrows what the coroutine threw.
    T* next() {
        if (!handle_ || handle_.done()) return nullptr;
        handle_.promise().value.reset();
        handle_.resume();
        if (handle_.promise().exception) std::rethrow_exception(std::exchange(handle_.promise().exception, nullptr));
        if (handle_.done()) return nullptr;
        return &*handle_.promise().value;
    }

    explicit operator bool() const { return static_cast<bool>(handle_); }

private:
    explicit Generator(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
    std::coroutine_handle<promise_type> handle_;
};

}  // namespace mallard
