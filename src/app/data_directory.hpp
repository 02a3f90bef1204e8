#pragma once
// The data directory: made with mode 0700, held by one process at a time (flock on DIR/lock), and the small files in
// it.
//
//   lock  setup.lock  control.sock  admin-token  access-secret  tls/cert.pem  tls/key.pem  listening.json  store/
//   spool/

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace mallard::app {

class DataDirectory {
public:
    // Makes the directory when it is missing. The errors are sentences for the person who started us.
    static Result<DataDirectory> open(std::string const& path);

    std::filesystem::path const& path() const { return path_; }
    std::string file(std::string_view name) const { return (path_ / name).string(); }

    // Holds the directory until destroyed. conflict: another process has it; the message says which.
    class Lock {
    public:
        explicit Lock(int fd) : fd_(fd) {}
        Lock(Lock const&) = delete;
        Lock& operator=(Lock const&) = delete;
        ~Lock();

    private:
        int fd_;
    };
    Result<std::unique_ptr<Lock>> lock(std::string_view role) const;  // "serve", "import", ...

    // Waits until no other process holds this: for making what is missing once.
    Result<std::unique_ptr<Lock>> alone() const;

    std::optional<std::string> read(std::string_view name) const;  // trimmed; none: no such file
    // Written whole or not at all, mode 0600.
    Result<void> write_private(std::string_view name, std::string_view content) const;

private:
    explicit DataDirectory(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

}  // namespace mallard::app
