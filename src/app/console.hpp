#pragma once
// The person at the terminal: passwords without echo, progress, sizes to read.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::app {

// One line on stderr: "mallard: …".
void complain(std::string_view message);

struct NewPassword {
    std::string password;
    bool generated = false;  // then it must be shown once
};
// --password-stdin: the first line of stdin. Else asked twice on the terminal, without echo; an empty answer, or no
// terminal, makes one.
Result<NewPassword> new_password(bool from_stdin);

std::string human_bytes(std::uint64_t bytes);  // "12.3 MB"
std::string human_count(std::uint64_t count);  // "1,234"
std::string human_time(std::int64_t ms);       // "2026-01-02 03:04:05 UTC"
std::string human_duration(std::chrono::milliseconds duration);

// A bar on stderr when that is a terminal, else nothing; redrawn at most ten times a second.
class Progress {
public:
    explicit Progress(std::string label);
    ~Progress();
    void update(std::uint64_t done, std::uint64_t total);
    void clear();
    std::chrono::milliseconds elapsed() const;

private:
    std::string label_;
    bool shown_ = false;
    bool terminal_;
    std::chrono::steady_clock::time_point start_, drawn_;
};

}  // namespace mallard::app
