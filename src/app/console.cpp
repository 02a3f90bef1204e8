#include "app/console.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

#include "base/random.hpp"

namespace mallard::app {

namespace {

// Without letters and digits that look alike.
constexpr std::string_view password_alphabet = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
constexpr std::size_t generated_length = 20;
constexpr std::size_t password_bytes_max = 4096;

bool read_line(std::string& line) {
    line.clear();
    int c;
    while ((c = std::getchar()) != EOF && c != '\n')
        if (line.size() < password_bytes_max) line += static_cast<char>(c);
    if (!line.empty() && line.back() == '\r') line.pop_back();
    return c != EOF || !line.empty();
}

class EchoOff {
public:
    EchoOff() {
        if (::tcgetattr(STDIN_FILENO, &before_) != 0) return;
        termios quiet = before_;
        quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
        active_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) == 0;
    }
    EchoOff(EchoOff const&) = delete;
    EchoOff& operator=(EchoOff const&) = delete;
    ~EchoOff() {
        if (active_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }

private:
    termios before_{};
    bool active_ = false;
};

std::string ask(std::string_view prompt) {
    std::string line;
    {
        EchoOff const quiet;  // before the prompt: what was typed ahead is dropped, it would be shown
        fmt::print(stderr, "{}", prompt);
        read_line(line);
    }
    fmt::print(stderr, "\n");
    return line;
}

}  // namespace

void complain(std::string_view message) { fmt::print(stderr, "mallard: {}\n", message); }

Result<NewPassword> new_password(bool from_stdin) {
    std::string password;
    if (from_stdin) {
        if (!read_line(password) || password.empty())
            return fail(ErrorKind::invalid, "--password-stdin: there was no password on standard input");
        return NewPassword{password};
    }
    if (::isatty(STDIN_FILENO) != 0) {
        password = ask("Password (empty: one is made for you): ");
        if (!password.empty()) {
            if (ask("Once more: ") != password)
                return fail(ErrorKind::invalid, "the two passwords differ; nothing was changed");
            return NewPassword{password};
        }
    }
    return NewPassword{random_text(generated_length, password_alphabet), true};
}

std::string human_bytes(std::uint64_t bytes) {
    constexpr std::string_view units[] = {"B", "KB", "MB", "GB", "TB", "PB", "EB"};
    auto value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(units)) {
        value /= 1024;
        ++unit;
    }
    return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string human_count(std::uint64_t count) {
    std::string digits = std::to_string(count);
    for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
        digits.insert(static_cast<std::size_t>(at), ",");
    return digits;
}

std::string human_time(std::int64_t ms) {
    return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(static_cast<std::time_t>(ms / 1000)));
}

std::string human_duration(std::chrono::milliseconds duration) {
    double const seconds = static_cast<double>(duration.count()) / 1000;
    if (seconds < 60) return fmt::format("{:.1f} s", seconds);
    return fmt::format("{} min {} s", static_cast<int>(seconds) / 60, static_cast<int>(seconds) % 60);
}

Progress::Progress(std::string label)
    : label_(std::move(label)), terminal_(::isatty(STDERR_FILENO) != 0), start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() { clear(); }

void Progress::update(std::uint64_t done, std::uint64_t total) {
    if (!terminal_) return;
    auto const now = std::chrono::steady_clock::now();
    if (shown_ && now - drawn_ < std::chrono::milliseconds(100) && done != total) return;
    drawn_ = now;
    shown_ = true;
    constexpr std::size_t width = 30;
    std::size_t const filled = total > 0 ? static_cast<std::size_t>(width * std::min(done, total) / total) : 0;
    double const seconds = std::chrono::duration<double>(now - start_).count();
    double const rate = seconds > 0.2 ? static_cast<double>(done) / seconds : 0;
    fmt::print(stderr, "\r\x1b[K{} [{}{}] {}/{}  {:.0f}/s", label_, std::string(filled, '#'),
               std::string(width - filled, '.'), human_count(done), human_count(total), rate);
}

void Progress::clear() {
    if (shown_) fmt::print(stderr, "\r\x1b[K");
    shown_ = false;
}

std::chrono::milliseconds Progress::elapsed() const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start_);
}

}  // namespace mallard::app
