#include "base/log.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <mutex>

#include "base/clock.hpp"
#include "base/log_lines.hpp"
#include "base/log_worker.hpp"
#include "base/random.hpp"

namespace mallard {

namespace {

std::string machine_name() {
    std::array<char, 256> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
    return name.data();
}

// A connected UDP socket: a datagram that cannot be sent at once is lost, a log must never hold up mail.
class GelfSocket {
public:
    static Result<std::unique_ptr<GelfSocket>> open(std::string const& host, std::uint16_t port) {
        addrinfo hints{};
        hints.ai_socktype = SOCK_DGRAM;
        addrinfo* found = nullptr;
        if (int const code = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found); code != 0)
            return fail(ErrorKind::invalid,
                        fmt::format("log.gelf: cannot resolve \"{}\": {}", host, ::gai_strerror(code)));
        std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> const addresses(found, &::freeaddrinfo);
        for (addrinfo const* a = addresses.get(); a != nullptr; a = a->ai_next) {
            int const fd = ::socket(a->ai_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
            if (fd < 0) continue;
            if (::connect(fd, a->ai_addr, a->ai_addrlen) == 0) return std::make_unique<GelfSocket>(fd);
            ::close(fd);
        }
        return fail(ErrorKind::io, fmt::format("log.gelf: cannot reach {}:{}", host, port));
    }

    explicit GelfSocket(int fd) : fd_(fd) {}
    GelfSocket(GelfSocket const&) = delete;
    GelfSocket& operator=(GelfSocket const&) = delete;
    ~GelfSocket() { ::close(fd_); }

    void send(std::string_view datagram) const {
        [[maybe_unused]] auto const sent = ::send(fd_, datagram.data(), datagram.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    }

private:
    int fd_;
};

struct Sinks {
    LogConfig config;
    std::string host;
    std::shared_ptr<spdlog::logger> lines;
    std::unique_ptr<GelfSocket> gelf;
};

std::shared_ptr<spdlog::logger> line_logger(spdlog::sink_ptr sink) {
    auto logger = std::make_shared<spdlog::logger>("mallard", std::move(sink));
    logger->set_pattern("%v");  // the line is ours (log_lines.cpp)
    logger->set_level(spdlog::level::trace);
    logger->flush_on(spdlog::level::trace);
    return logger;
}

struct Current {
    std::mutex mutex;
    std::string worker;
    std::shared_ptr<Sinks const> sinks;  // shared: a line in flight keeps its sinks over a SIGHUP

    std::shared_ptr<Sinks const> get() {
        std::lock_guard const lock(mutex);
        if (!sinks) {
            auto fresh = std::make_shared<Sinks>();
            fresh->lines = line_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
            sinks = std::move(fresh);
        }
        return sinks;
    }
};

Current& current() {
    static auto* const state = new Current;  // never destroyed: threads may log until the process is gone
    return *state;
}

std::atomic<LogLevel> current_level{LogLevel::info};

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::trace: return spdlog::level::trace;
        case LogLevel::debug: return spdlog::level::debug;
        case LogLevel::info: return spdlog::level::info;
        case LogLevel::warning: return spdlog::level::warn;
        case LogLevel::error: return spdlog::level::err;
        case LogLevel::off: return spdlog::level::off;
    }
    return spdlog::level::off;
}

void send_gelf(Sinks const& sinks, LogLine const& line) {
    std::string const message = zlib_compress(gelf_message(line, sinks.host, sinks.config.gelf_component));
    std::array<char, 8> id;
    random_bytes(id.data(), id.size());
    for (std::string const& datagram : gelf_datagrams(message, {id.data(), id.size()}, sinks.config.gelf_chunk_bytes))
        sinks.gelf->send(datagram);
}

}  // namespace

Result<void> log_start(LogConfig const& config) {
    auto sinks = std::make_shared<Sinks>();
    sinks->config = config;
    sinks->host = config.gelf_hostname.empty() ? machine_name() : config.gelf_hostname;
    if (config.file.empty()) {
        sinks->lines = line_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>());
    } else {
        try {
            sinks->lines = line_logger(std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.file));
        } catch (spdlog::spdlog_ex const& error) {
            return fail(ErrorKind::io, fmt::format("log.file: cannot write \"{}\"", config.file), error.what());
        }
    }
    if (config.gelf_enabled) {
        MALLARD_TRY_ASSIGN(sinks->gelf, GelfSocket::open(config.gelf_host, config.gelf_port));
    }
    {
        std::lock_guard const lock(current().mutex);
        current().sinks = std::move(sinks);
    }
    current_level = config.level;
    return {};
}

void log_as_worker(std::string name) { current().worker = std::move(name); }

bool log_enabled(LogLevel level) {
    auto const threshold = current_level.load(std::memory_order_relaxed);
    return level >= threshold && threshold != LogLevel::off && level != LogLevel::off;
}

void log(LogLevel level, LogContext const& who, std::string_view message, std::span<LogField const> fields) {
    if (!log_enabled(level)) return;
    auto const sinks = current().get();
    LogLine const line{level, SystemClock().now(), who, message, fields, current().worker};
    sinks->lines->log(spdlog_level(level),
                      spdlog::string_view_t(sinks->config.format == "json" ? json_line(line) : text_line(line)));
    if (sinks->gelf) send_gelf(*sinks, line);
}

void log(LogLevel level, LogContext const& who, std::string_view message, std::initializer_list<LogField> fields) {
    log(level, who, message, std::span<LogField const>(fields.begin(), fields.size()));
}

}  // namespace mallard
