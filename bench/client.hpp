#pragma once
// A blocking client for line protocols, made to cost little: the load generator shares the machine with the server.
// Throws std::runtime_error when the server says something else than expected or goes away.

#include <cstdint>
#include <string>
#include <string_view>

struct ssl_st;

namespace bench {

struct Target {
    std::string host = "127.0.0.1";
    std::uint16_t port = 0;
    bool tls = false;
    std::string source;  // local address to connect from; empty: any
};

class Client {
public:
    explicit Client(Target const& target);
    ~Client();
    Client(Client const&) = delete;
    Client& operator=(Client const&) = delete;

    void send(std::string_view bytes);
    std::string_view line();         // without CRLF; valid until the next call
    void skip(std::uint64_t bytes);  // literal contents
    std::uint64_t received() const { return received_; }

    // SMTP-like: reads a whole reply; throws unless its code begins with `expected`.
    void reply(char expected);
    // IMAP: sends "tag command\r\n", reads up to the tagged reply; throws unless OK. Returns the number of untagged
    // lines.
    std::uint64_t command(std::string_view text);
    std::uint64_t finish(std::string_view tag);  // reads up to that tag
    std::string next_tag();
    void login(std::string const& user, std::string const& password);
    void append(std::string_view mailbox, std::string_view message, bool literal_plus);
    std::string const& last_untagged() const { return last_untagged_; }

private:
    std::size_t fill();

    int fd_ = -1;
    ssl_st* ssl_ = nullptr;
    std::string buffer_;
    std::size_t begin_ = 0, end_ = 0;
    std::uint64_t received_ = 0;
    unsigned tag_ = 0;
    std::string last_untagged_;
};

}  // namespace bench
