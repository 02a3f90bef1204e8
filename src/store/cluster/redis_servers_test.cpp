// Redis behind TLS, with a password, and found through Sentinel: servers of the tests' own.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

#include "store/cluster/test_backend.hpp"

namespace mallard::store::cluster {

namespace {

namespace fs = std::filesystem;

// Below those that the kernel gives to outgoing connections, and those that other tests take: free also while the
// server is down.
std::uint16_t free_port() {
    static std::random_device random;
    std::uniform_int_distribution<int> ports(9'000, 9'999);
    for (;;) {
        int const fd = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        auto const port = static_cast<std::uint16_t>(ports(random));
        address.sin_port = htons(port);
        bool const is_free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        close(fd);
        if (is_free) return port;
    }
}

class Process {
public:
    explicit Process(std::vector<std::string> words) {
        std::vector<char*> arguments;
        for (auto& word : words) arguments.push_back(word.data());
        arguments.push_back(nullptr);
        pid_ = fork();
        if (pid_ != 0) return;
        int const nowhere = open("/dev/null", O_RDWR);
        for (int fd : {0, 1, 2}) dup2(nowhere, fd);
        execvp(arguments[0], arguments.data());
        _exit(127);
    }
    ~Process() {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
    Process(Process const&) = delete;

private:
    pid_t pid_;
};

class RedisServers : public testing::Test {
protected:
    void SetUp() override {
        if (!have_servers()) GTEST_SKIP() << no_servers;
        if (std::system("command -v redis-server >/dev/null") != 0) GTEST_SKIP() << "redis-server is not installed";
        fs::create_directory(folder);
    }
    void TearDown() override {
        servers.clear();
        fs::remove_all(folder);
    }
    void start(std::vector<std::string> options) {
        options.insert(options.begin(), {"redis-server"});
        options.insert(options.end(), {"--dir", folder.string(), "--bind", "127.0.0.1"});
        servers.push_back(std::make_unique<Process>(std::move(options)));
    }
    std::uint16_t start_plain(std::vector<std::string> options = {}) {
        auto const port = free_port();
        options.insert(options.end(), {"--port", std::to_string(port), "--save", ""});
        start(std::move(options));
        return port;
    }
    std::uint16_t start_sentinel(std::uint16_t master) {
        auto const port = free_port();
        std::ofstream(folder / "sentinel.conf")
            << "port " << port << "\nsentinel monitor mymaster 127.0.0.1 " << master << " 1\n";
        start({(folder / "sentinel.conf").string(), "--sentinel"});
        return port;
    }
    // As soon as the server is there; its refusals are for the caller.
    static Result<std::unique_ptr<RedisClient>> opened(std::string const& place) {
        for (int attempt = 0;; ++attempt) {
            auto client = RedisClient::open(place);
            if (client || client.error().kind != ErrorKind::unavailable || attempt == 500) return client;
            std::this_thread::sleep_for(std::chrono::milliseconds(20));
        }
    }
    bool make_certificate() const {
        auto const command =
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext "
            "subjectAltName=DNS:localhost -keyout " +
            (folder / "key.pem").string() + " -out " + (folder / "cert.pem").string() + " 2>/dev/null >/dev/null";
        return std::system(command.c_str()) == 0;
    }

    fs::path const folder = fs::temp_directory_path() / ("mallard-redis-" + random_hex(6));
    std::vector<std::unique_ptr<Process>> servers;
};

TEST_F(RedisServers, AreSpokenToOverTls) {
    if (!make_certificate()) GTEST_SKIP() << "openssl is not installed";
    auto const port = free_port();
    start({"--port", "0", "--tls-port", std::to_string(port), "--tls-cert-file", (folder / "cert.pem").string(),
           "--tls-key-file", (folder / "key.pem").string(), "--tls-auth-clients", "no", "--requirepass", "secret"});
    auto const object = [&](std::string const& host, std::string const& tls) {
        return R"({"host": ")" + host + R"(", "port": )" + std::to_string(port) +
               R"(, "password": "secret", "db": 2, "tls": )" + tls + "}";
    };
    auto const ours = R"({"caFile": ")" + (folder / "cert.pem").string() + "\"}";
    auto const client = opened(object("localhost", ours));
    ASSERT_TRUE(client) << client.error().context;
    std::string const large(3'000'000, 'x');
    ASSERT_TRUE((*client)->command({"SET", "a", large}));
    EXPECT_TRUE((*client)->command({"GET", "a"})->text == large);
    // Not known to the system, or of another name: refused; unless told not to look.
    EXPECT_FALSE(RedisClient::open("rediss://:secret@localhost:" + std::to_string(port)));
    EXPECT_FALSE(RedisClient::open(object("127.0.0.1", ours)));
    EXPECT_TRUE(RedisClient::open(object("127.0.0.1", R"({"rejectUnauthorized": false})")));
    EXPECT_FALSE(RedisClient::open("redis://:secret@127.0.0.1:" + std::to_string(port)));
}

TEST_F(RedisServers, AskForAPasswordAndHaveDatabases) {
    auto const port = std::to_string(start_plain({"--requirepass", "secret"}));
    auto const client = opened("redis://:secret@127.0.0.1:" + port + "/3");
    ASSERT_TRUE(client) << client.error().context;
    ASSERT_TRUE((*client)->command({"SET", "a", "1"}));
    auto const elsewhere = RedisClient::open("redis://127.0.0.1:" + port + "?password=secret&db=4");
    ASSERT_TRUE(elsewhere);
    EXPECT_EQ((*elsewhere)->command({"GET", "a"})->kind, RedisReply::Kind::nil);
    // A user that the server does not know is left out, as WildDuck does; not when it is asked for.
    EXPECT_TRUE(RedisClient::open("redis://nobody:secret@127.0.0.1:" + port));
    auto const refused = RedisClient::open("redis://nobody:secret@127.0.0.1:" + port + "?allowUsernameInURI=yes");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::io);
    EXPECT_FALSE(RedisClient::open("redis://:wrong@127.0.0.1:" + port));
}

TEST_F(RedisServers, AreFoundThroughSentinelAlsoAfterAFailover) {
    auto const first = start_plain(), second = start_plain();
    ASSERT_TRUE(opened("redis://127.0.0.1:" + std::to_string(first)));
    ASSERT_TRUE(opened("redis://127.0.0.1:" + std::to_string(second)));
    auto const port = start_sentinel(first);
    auto const sentinel = opened("redis://127.0.0.1:" + std::to_string(port));
    ASSERT_TRUE(sentinel);
    // The first of the sentinels is not there.
    auto const client = opened(R"({"name": "mymaster", "db": 1, "sentinels": [{"host": "127.0.0.1", "port": 1},
        {"host": "127.0.0.1", "port": )" +
                               std::to_string(port) + "}]}");
    ASSERT_TRUE(client) << client.error().context;
    ASSERT_TRUE((*client)->command({"SET", "a", "first"}));
    ASSERT_TRUE((*sentinel)->command({"SENTINEL", "REMOVE", "mymaster"}));
    ASSERT_TRUE((*sentinel)->command({"SENTINEL", "MONITOR", "mymaster", "127.0.0.1", std::to_string(second), "1"}));
    servers.erase(servers.begin());  // the old master is gone
    EXPECT_EQ((*client)->command({"GET", "a"})->kind, RedisReply::Kind::nil);
    ASSERT_TRUE((*client)->command({"SET", "a", "second"}));
    EXPECT_EQ((*opened("redis://127.0.0.1:" + std::to_string(second) + "/1"))->command({"GET", "a"})->text, "second");
    EXPECT_FALSE(RedisClient::open("redis-sentinel://127.0.0.1:" + std::to_string(port) + "/unknown"));
}

}  // namespace

}  // namespace mallard::store::cluster
