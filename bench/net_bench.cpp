// What the network layer alone costs: memory and CPU of idle connections, and commands a second of a line protocol
// whose command does nothing, answered on the network thread or by a hop to the worker pool and back.
//   net_bench idle 10000 [tls]        net_bench echo 50 5 [pool|inline|disk] [threads]        net_bench hop
// disk: a command that blocks half a millisecond on the pool, as one that waits for an fsync does.
// The clients run in a child process, so that the figures of this one are the server's.

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "net/connection.hpp"
#include "net/memory_stream.hpp"
#include "net/server.hpp"
#include "net/workers.hpp"

namespace {

using namespace mallard;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double cpu_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

long pss_kib() {
    std::ifstream file("/proc/self/smaps_rollup");
    for (std::string word; file >> word;)
        if (word == "Pss:") {
            long value = 0;
            file >> value;
            return value;
        }
    return 0;
}

int connect_to(std::uint16_t port, unsigned from) {
    int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in source{
        .sin_family = AF_INET, .sin_port = 0, .sin_addr = {htonl(INADDR_LOOPBACK + from)}, .sin_zero = {}};
    int const one = 1;
    ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    ::bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source);
    sockaddr_in address{
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}, .sin_zero = {}};
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
        std::perror("connect");
        std::exit(1);
    }
    return fd;
}

enum class Work { on_network_thread, on_pool, disk };

net::Async<void> serve_lines(net::Workers& workers, Work work, std::shared_ptr<net::Connection> connection) {
    connection->expires_after(30min);
    co_await connection->write("hello\r\n");
    for (;;) {
        auto line = co_await connection->read_line(1000, net::LineEnd::crlf_or_lf);
        if (!line) co_return;
        connection->expires_after(30min);
        std::string reply;
        if (work == Work::on_network_thread)
            reply = *line + "\r\n";
        else
            reply = co_await workers.call(net::Pool::commands, [&] {
                if (work == Work::disk) std::this_thread::sleep_for(500us);
                return *line + "\r\n";
            });
        if (!co_await connection->write(reply)) co_return;
    }
}

void idle_clients(std::uint16_t port, int count, bool tls, int ready) {
    SSL_CTX* const context = SSL_CTX_new(TLS_client_method());
    char buffer[64];
    for (int i = 0; i < count; ++i) {
        int const fd = connect_to(port, static_cast<unsigned>(i) / 20'000);
        if (tls) {
            SSL* const ssl = SSL_new(context);
            SSL_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
            SSL_set_fd(ssl, fd);
            if (SSL_connect(ssl) != 1 || SSL_read(ssl, buffer, sizeof buffer) <= 0) std::exit(1);
            SSL_write(ssl, "x\r\n", 3);
            SSL_read(ssl, buffer, sizeof buffer);
        } else {
            if (::recv(fd, buffer, sizeof buffer, 0) <= 0) std::exit(1);
            ::send(fd, "x\r\n", 3, 0);
            ::recv(fd, buffer, sizeof buffer, 0);
        }
    }
    [[maybe_unused]] auto const told = ::write(ready, "r", 1);
    ::pause();
}

void echo_clients(std::uint16_t port, int count, double seconds, int result) {
    std::atomic<long> total{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < count; ++i)
        threads.emplace_back([&] {
            int const fd = connect_to(port, 0);
            char buffer[256];
            ::recv(fd, buffer, sizeof buffer, 0);
            auto const begin = Clock::now();
            long done = 0;
            while ((done & 63) != 0 || seconds_since(begin) < seconds) {
                ::send(fd, "a1 NOOP\r\n", 9, 0);
                if (::recv(fd, buffer, sizeof buffer, 0) <= 0) break;
                ++done;
            }
            total += done;
            ::close(fd);
        });
    for (std::thread& thread : threads) thread.join();
    long const sum = total;
    [[maybe_unused]] auto const told = ::write(result, &sum, sizeof sum);
}

net::Async<void> hops(net::Workers& workers, int count) {
    for (int i = 0; i < count; ++i) co_await workers.run(net::Pool::commands, [] {});
}

std::string temporary_certificate() {
    char directory[] = "/tmp/net-bench-XXXXXX";
    std::string const path = ::mkdtemp(directory);
    if (!net::make_self_signed(path + "/cert", path + "/key", {})) std::exit(1);
    return path;
}

}  // namespace

int main(int argc, char** argv) {
    std::string const mode = argc > 1 ? argv[1] : "";
    if (mode == "hop") {
        net::Workers workers(8, 1);
        constexpr int count = 100'000;
        auto const begin = Clock::now();
        net::run_blocking(hops(workers, count));
        std::printf("hop to the pool and back: %.2f us\n", seconds_since(begin) / count * 1e6);
        return 0;
    }
    if ((mode != "idle" && mode != "echo") || argc < 3) {
        std::fprintf(stderr,
                     "usage: net_bench idle COUNT [tls] | echo COUNT SECONDS [pool|inline|disk] [threads] | hop\n");
        return 2;
    }
    int const count = std::atoi(argv[2]);
    bool const tls = mode == "idle" && argc > 3 && std::strcmp(argv[3], "tls") == 0;
    std::string const work_name = mode == "echo" && argc > 4 ? argv[4] : "pool";
    Work const work = work_name == "inline" ? Work::on_network_thread
                      : work_name == "disk" ? Work::disk
                                            : Work::on_pool;
    double const seconds = mode == "echo" && argc > 3 ? std::atof(argv[3]) : 0;
    std::size_t const threads = mode == "echo" && argc > 5 ? std::strtoul(argv[5], nullptr, 10) : 2;

    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    int to_child[2];
    int from_child[2];
    if (::pipe(to_child) != 0 || ::pipe(from_child) != 0) return 1;
    pid_t const child = ::fork();
    if (child == 0) {
        std::uint16_t port = 0;
        if (::read(to_child[0], &port, sizeof port) != sizeof port) return 1;
        if (mode == "idle")
            idle_clients(port, count, tls, from_child[1]);
        else
            echo_clients(port, count, seconds, from_child[1]);
        return 0;
    }
    ::close(from_child[1]);
    {
        net::Workers workers(32, 1);
        net::Server server(threads, workers);
        if (tls) {
            std::string const path = temporary_certificate();
            server.set_tls(*net::load_tls({.certificate_file = path + "/cert", .key_file = path + "/key"}));
        }
        if (!server.listen({.service = "bench", .secure = tls}, [&](std::shared_ptr<net::Connection> connection) {
                return serve_lines(workers, work, std::move(connection));
            }))
            return 1;
        server.start();
        long const before = pss_kib();
        double const cpu_before = cpu_seconds();
        std::uint16_t const port = server.port_of("bench", tls);
        if (::write(to_child[1], &port, sizeof port) != sizeof port) return 1;
        if (mode == "idle") {
            char ready;
            if (::read(from_child[0], &ready, 1) != 1) return 1;
            std::printf("%zu idle%s connections: %.2f KiB each (PSS of the process)\n", server.connections("bench"),
                        tls ? " TLS" : "", static_cast<double>(pss_kib() - before) / count);
            double const cpu = cpu_seconds();
            std::this_thread::sleep_for(5s);
            std::printf("CPU while idle: %.2f %%\n", (cpu_seconds() - cpu) / 5 * 100);
        } else {
            long total = 0;
            if (::read(from_child[0], &total, sizeof total) != sizeof total) return 1;
            double const cpu = cpu_seconds() - cpu_before;
            std::printf("%d connections, %s, %zu network threads: %.0f commands/s, %.2f us of CPU each\n", count,
                        work_name.c_str(), threads, static_cast<double>(total) / seconds,
                        cpu / static_cast<double>(total) * 1e6);
        }
        ::kill(child, SIGKILL);
        server.drain(100ms);
    }
    ::waitpid(child, nullptr, 0);
    return 0;
}
