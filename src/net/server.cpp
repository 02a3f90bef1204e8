#include "net/server.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <condition_variable>
#include <csignal>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "base/log.hpp"
#include "net/connection.hpp"
#include "net/io_thread.hpp"
#include "net/listener.hpp"
#include "net/proxy.hpp"
#include "net/socket_stream.hpp"
#include "net/workers.hpp"

namespace mallard::net {

namespace {

namespace asio = boost::asio;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, asio::io_context::executor_type>;

constexpr int accepts_per_turn = 64;  // then other connections of that thread have their turn
constexpr std::chrono::milliseconds accept_back_off{100};
constexpr std::chrono::milliseconds linger{2'000};
constexpr std::size_t linger_bytes_max = 4 * 1024 * 1024;
constexpr std::chrono::milliseconds close_wait{500};

// A connection as its thread knows it: in a list, for draining. Lives in the frame of serve().
struct Live {
    Live* next = nullptr;
    Live** link = nullptr;
    Stream* stream = nullptr;
    Connection* connection = nullptr;

    explicit Live(Live*& head) : next(head), link(&head) {
        if (next != nullptr) next->link = &next;
        head = this;
    }
    ~Live() {
        *link = next;
        if (next != nullptr) next->link = link;
    }
    Live(Live const&) = delete;
    Live& operator=(Live const&) = delete;
};

struct Thread {
    Live* live = nullptr;
    IoThread io;
    std::vector<std::unique_ptr<Acceptor>> acceptors;  // each on this thread; destroyed before `io`

    explicit Thread(std::string name) : io(std::move(name)) {}
};

}  // namespace

struct Server::Impl {
    Workers& workers;
    std::mutex mutex;
    std::condition_variable changed;
    std::shared_ptr<TlsContext const> tls;
    std::size_t live = 0;  // connections of all listeners, those in their handshake included
    std::atomic<bool> draining{false};
    std::atomic<bool> accepting{true};
    bool started = false;
    std::vector<std::unique_ptr<Listener>> listeners;
    std::atomic<std::size_t> next_thread{0};
    std::atomic<std::int64_t> last_accept_error{0};
    std::vector<std::unique_ptr<Thread>> threads;  // last: what waits there is destroyed first

    explicit Impl(Workers& pool) : workers(pool) {}

    bool enter(Listener& listener);
    void leave(Listener& listener);
    bool wait_until_empty(std::chrono::milliseconds at_most);
    void report_accept_error(Listener const& listener, int number);
    void hand_over(Listener& listener, int socket, Address peer);

    Async<void> accept_loop(Listener& listener, Thread& thread, Acceptor& acceptor);
    Async<bool> read_proxy_header(SocketStream& stream);
    Async<bool> prepare(Listener& listener, SocketStream& stream, std::optional<Address>& counted);
    Async<void> converse(Listener& listener, std::unique_ptr<SocketStream> stream, Live& live);
    Async<void> serve(Listener& listener, Thread& thread, int socket, Address peer);
};

// Counts a connection in and out, also when its coroutine is destroyed while waiting.
namespace {

template <class F>
class Finally {
public:
    explicit Finally(F f) : f_(std::move(f)) {}
    ~Finally() { f_(); }
    Finally(Finally const&) = delete;
    Finally& operator=(Finally const&) = delete;

private:
    F f_;
};

void refuse(Listener const& listener, int socket) {
    std::string const& text = listener.config.refusal;
    if (!listener.config.secure && !text.empty()) [[maybe_unused]]
        auto const sent = ::send(socket, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    ::shutdown(socket, SHUT_WR);
    ::close(socket);
}

}  // namespace

bool Server::Impl::enter(Listener& listener) {
    if (listener.live.load(std::memory_order_relaxed) >= listener.config.connections_max) return false;
    listener.live.fetch_add(1, std::memory_order_relaxed);
    listener.live_gauge->add(1);
    listener.total_counter->add();
    std::lock_guard const lock(mutex);
    ++live;
    return true;
}

void Server::Impl::leave(Listener& listener) {
    listener.live.fetch_sub(1, std::memory_order_relaxed);
    listener.live_gauge->add(-1);
    std::lock_guard const lock(mutex);
    if (--live == 0) changed.notify_all();
}

bool Server::Impl::wait_until_empty(std::chrono::milliseconds at_most) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, at_most, [this] { return live == 0; });
}

// At most once a second: the log must not fill because connections come in.
void Server::Impl::report_accept_error(Listener const& listener, int number) {
    std::int64_t const now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::seconds(1);
    if (last_accept_error.exchange(now) == now) return;
    log(LogLevel::error, {.component = listener.config.service}, "cannot accept connections",
        {{"error", std::strerror(number)}});
}

Async<void> Server::Impl::accept_loop(Listener& listener, Thread& thread, Acceptor& acceptor) {
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>,
                               asio::io_context::executor_type>
        timer(thread.io.context());
    while (accepting) {
        co_await acceptor.async_wait(Acceptor::wait_read, asio::as_tuple(asio::deferred));
        bool exhausted = false;
        for (int i = 0; i < accepts_per_turn && accepting && !exhausted; ++i) {
            sockaddr_storage address{};
            socklen_t size = sizeof address;
            int const socket = ::accept4(acceptor.native_handle(), reinterpret_cast<sockaddr*>(&address), &size,
                                         SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (socket >= 0) {
                hand_over(listener, socket, address_of(address));
            } else if (errno == EAGAIN) {
                break;
            } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                report_accept_error(listener, errno);
                exhausted = true;
            }  // else that one connection failed before we came to it (accept(2))
        }
        if (exhausted) {
            timer.expires_after(accept_back_off);
            co_await timer.async_wait(asio::as_tuple(asio::deferred));
        }
    }
}

void Server::Impl::hand_over(Listener& listener, int socket, Address peer) {
    if (!enter(listener)) return refuse(listener, socket);
    Thread& thread = *threads[next_thread.fetch_add(1, std::memory_order_relaxed) % threads.size()];
    asio::dispatch(thread.io.context(), [this, &listener, &thread, socket, peer] {
        asio::co_spawn(thread.io.context(), serve(listener, thread, socket, peer), [](std::exception_ptr failure) {
            if (failure)
                std::rethrow_exception(failure);  // serve() catches its own: what comes here is logged by IoThread
        });
    });
}

// Takes exactly the header off the socket: what follows may be TLS.
Async<bool> Server::Impl::read_proxy_header(SocketStream& stream) {
    std::string header;
    for (;;) {
        char piece[256];
        auto const seen = stream.peek(piece, sizeof piece);
        if (!seen) co_return false;
        if (*seen == 0) {
            if (auto waited = co_await stream.wait_readable(); !waited) co_return false;
            continue;
        }
        std::size_t const before = header.size();
        header.append(piece, *seen);
        ProxyHeader const parsed = parse_proxy(header);
        if (parsed.state == ProxyHeader::State::bad) co_return false;
        bool const done = parsed.state == ProxyHeader::State::done;
        std::size_t const taken = done ? parsed.length - before : *seen;
        if (auto const read = stream.try_read(piece, taken); !read || *read != taken) co_return false;
        if (!done) continue;
        if (parsed.source) stream.set_addresses(*parsed.source, parsed.destination);
        co_return true;
    }
}

// PROXY header, limit per address, TLS. False: the connection ends here.
Async<bool> Server::Impl::prepare(Listener& listener, SocketStream& stream, std::optional<Address>& counted) {
    stream.expires_after(listener.config.handshake_timeout);
    if (listener.is_proxy(stream.peer()) && !co_await read_proxy_header(stream)) {
        log(LogLevel::info, {.component = listener.config.service, .address = stream.peer_address()},
            "closed: no valid PROXY header");
        co_return false;
    }
    if (listener.enter_address(stream.peer())) counted = stream.peer();
    if (!counted) {
        if (!listener.config.secure) {
            co_await stream.write(listener.config.refusal);
            stream.finish_writing();
        }
        co_return false;
    }
    if (!listener.config.secure) co_return true;
    std::shared_ptr<TlsContext const> context;
    {
        std::lock_guard const lock(mutex);
        context = tls;
    }
    if (!context) {
        log(LogLevel::error, {.component = listener.config.service}, "closed: no TLS certificate is loaded");
        co_return false;
    }
    auto const started = co_await stream.start_tls(*context);
    if (!started)
        log(LogLevel::debug, {.component = listener.config.service, .address = stream.peer_address()},
            "TLS handshake failed", {{"error", started.error().message}, {"context", started.error().context}});
    co_return started.has_value();
}

// After our last words: read what the peer still sends, for a moment, so that its kernel does not drop them unread.
static Async<void> linger_close(SocketStream& stream) {
    if (!stream.finish_writing()) co_return;
    stream.expires_after(linger);
    for (std::size_t total = 0; total < linger_bytes_max;) {
        char piece[1024];
        auto const n = co_await stream.read_some(piece, sizeof piece);
        if (!n) co_return;
        total += *n;
    }
}

Async<void> Server::Impl::converse(Listener& listener, std::unique_ptr<SocketStream> stream, Live& live) {
    SocketStream& socket = *stream;
    auto connection = std::make_shared<Connection>(std::move(stream), &workers);
    live.connection = connection.get();
    if (draining) connection->drain();
    std::exception_ptr failure;
    try {
        co_await listener.handler(connection);
    } catch (...) {
        failure = std::current_exception();
    }
    live.connection = nullptr;
    if (!failure) co_await linger_close(socket);
    socket.close();
    live.stream = nullptr;
    if (failure) std::rethrow_exception(failure);
}

Async<void> Server::Impl::serve(Listener& listener, Thread& thread, int socket, Address peer) {
    Finally const left([this, &listener] { leave(listener); });
    auto stream = make_socket_stream(thread.io, socket, peer);
    Live live(thread.live);
    live.stream = stream.get();
    std::optional<Address> counted;
    Finally const left_address([&] {
        if (counted) listener.leave_address(*counted);
    });
    try {
        bool const ready = co_await prepare(listener, *stream, counted);
        if (ready) co_await converse(listener, std::move(stream), live);
    } catch (std::exception const& error) {
        log(LogLevel::error, {.component = listener.config.service, .address = counted.value_or(peer).to_string()},
            "exception ended a connection", {{"error", error.what()}});
    }
    live.stream = nullptr;
}

Server::Server(std::size_t network_threads, Workers& workers) : impl_(std::make_unique<Impl>(workers)) {
    std::signal(SIGPIPE, SIG_IGN);
    for (std::size_t i = 0; i < std::max<std::size_t>(network_threads, 1); ++i)
        impl_->threads.push_back(std::make_unique<Thread>("net-" + std::to_string(i)));
}

Server::~Server() {
    if (impl_->started && !impl_->draining) drain(std::chrono::milliseconds(0));
    impl_->workers.wait_for_runs();  // they resume coroutines of these threads
    for (auto& thread : impl_->threads) thread->io.stop();
    impl_->workers.wait_for_runs();
}

Result<void> Server::listen(ListenerConfig config, Handler handler) {
    auto listener = std::make_unique<Listener>();
    listener->config = std::move(config);
    listener->handler = std::move(handler);
    for (std::string const& proxy : listener->config.proxy_from) {
        auto const address = parse_address(proxy);
        if (proxy == "*")
            listener->proxies_all = true;
        else if (address)
            listener->proxies.push_back(*address);
        else
            return fail(ErrorKind::invalid,
                        listener->config.service + ": '" + proxy + "' is no IP address (PROXY peers)");
    }
    MALLARD_TRY(bind_listener(*listener));
    std::string const& service = listener->config.service;
    listener->live_gauge = &metrics::gauge("wildduck_connections", {{"service", service}});
    listener->total_counter = &metrics::counter(
        "wildduck_connections_total", {{"service", service}, {"secure", listener->config.secure ? "yes" : "no"}});
    // Listeners take turns on the threads; the accepted connections go to all.
    Thread& thread = *impl_->threads[impl_->listeners.size() % impl_->threads.size()];
    Listener& added = *impl_->listeners.emplace_back(std::move(listener));
    auto acceptor = std::make_unique<Acceptor>(thread.io.context());
    acceptor->assign(asio::ip::tcp::v6(), std::exchange(added.socket, -1));
    Acceptor& accepting = *acceptor;
    thread.acceptors.push_back(std::move(acceptor));
    asio::co_spawn(thread.io.context(), impl_->accept_loop(added, thread, accepting), [](std::exception_ptr failure) {
        if (failure) std::rethrow_exception(failure);
    });
    return {};
}

std::uint16_t Server::port_of(std::string const& service, bool secure) const {
    for (auto const& listener : impl_->listeners)
        if (listener->config.service == service && listener->config.secure == secure) return listener->port;
    return 0;
}

void Server::set_tls(std::shared_ptr<TlsContext const> context) {
    std::lock_guard const lock(impl_->mutex);
    impl_->tls = std::move(context);
}

std::shared_ptr<TlsContext const> Server::tls() const {
    std::lock_guard const lock(impl_->mutex);
    return impl_->tls;
}

void Server::start() {
    raise_file_limit();
    impl_->started = true;
    for (auto& thread : impl_->threads) thread->io.start();
}

void Server::stop_accepting() {
    impl_->accepting = false;
    for (auto& thread : impl_->threads)
        asio::post(thread->io.context(), [&thread = *thread] {
            for (auto& acceptor : thread.acceptors) {
                boost::system::error_code ignored;
                acceptor->close(ignored);
            }
        });
}

void Server::drain(std::chrono::milliseconds grace) {
    impl_->draining = true;
    stop_accepting();
    for (auto& thread : impl_->threads)
        asio::post(thread->io.context(), [&thread = *thread] {
            for (Live* live = thread.live; live != nullptr; live = live->next)
                if (live->connection != nullptr)
                    live->connection->drain();
                else if (live->stream != nullptr)
                    live->stream->close();  // still in its handshake, or only lingering
        });
    if (impl_->wait_until_empty(grace)) return;
    for (auto& thread : impl_->threads)
        asio::post(thread->io.context(), [&thread = *thread] {
            for (Live* live = thread.live; live != nullptr; live = live->next)
                if (live->stream != nullptr) live->stream->close();
        });
    impl_->wait_until_empty(close_wait);
}

bool Server::draining() const { return impl_->draining; }

Workers& Server::workers() { return impl_->workers; }

std::size_t Server::connections(std::string const& service) const {
    std::size_t count = 0;
    for (auto const& listener : impl_->listeners)
        if (listener->config.service == service) count += listener->live;
    return count;
}

}  // namespace mallard::net
