#include "app/supervisor.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>

#include "base/metrics.hpp"
#include "net/server.hpp"
#include "net/testing/client.hpp"

namespace mallard::app {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using net::testing::Client;

struct Greeting {
    std::string number, generation;
    pid_t pid;
};

// "2 a 4711\n"
Greeting parse(std::string const& line) {
    auto const first = line.find(' '), second = line.find(' ', first + 1);
    return {line.substr(0, first), line.substr(first + 1, second - first - 1),
            static_cast<pid_t>(std::atoi(line.c_str() + second))};
}

bool lives(pid_t pid) { return ::kill(pid, 0) == 0; }

void wait_until(std::string_view what, auto const& holds) {
    for (auto const end = Clock::now() + 20s; Clock::now() < end; std::this_thread::sleep_for(2ms))
        if (holds()) return;
    ADD_FAILURE() << "never: " << what;
}

class SupervisorTest : public ::testing::Test {
protected:
    SupervisorTest() {
        EXPECT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
        auto const socket = net::open_listener({.service = "test"});
        EXPECT_TRUE(socket);
        listener = std::make_shared<Descriptor>(*socket);
        sockaddr_in address{};
        socklen_t size = sizeof address;
        ::getsockname(*socket, reinterpret_cast<sockaddr*>(&address), &size);
        port = ntohs(address.sin_port);
    }
    ~SupervisorTest() override {
        if (thread.joinable()) stop();
        for (int const fd : pipe) ::close(fd);
    }

    Plan plan(std::size_t count, std::string const& generation, std::string const& behaviour = "serve") const {
        Json const start = {{"socket", listener->fd()}, {"generation", generation}, {"behaviour", behaviour}};
        return {std::vector<WorkerPlan>(count, {"", start.dump(), {listener}})};
    }

    void run(Plan first) {
        thread = std::thread([this, first = std::move(first)] {
            Supervisor supervisor({MALLARD_TEST_WORKER, "test_worker"}, pipe[0], timing);
            result = supervisor.run(
                first,
                [this]() -> Result<Plan> {
                    std::lock_guard const lock(mutex);
                    return next ? Result<Plan>(*next) : fail(ErrorKind::invalid, "mallard.toml:1: wrong");
                },
                [this] { serving = true; });
            done = true;
        });
    }
    void start(Plan first) {
        run(std::move(first));
        wait_until("serves", [&] { return serving || done; });
    }
    void ask(Supervisor::Request request) {
        char const byte = static_cast<char>(request);
        EXPECT_EQ(::write(pipe[1], &byte, 1), 1);
    }
    void roll(std::optional<Plan> to) {
        {
            std::lock_guard const lock(mutex);
            next = std::move(to);
        }
        ask(Supervisor::Request::roll);
    }
    void stop() {
        ask(Supervisor::Request::stop);
        thread.join();
    }
    Greeting visit() { return parse(Client(port).read_line()); }
    // Connects until `count` workers of that generation have answered, one connection held with each.
    std::map<std::string, std::pair<Greeting, std::unique_ptr<Client>>> all(std::size_t count,
                                                                            std::string const& generation) {
        std::map<std::string, std::pair<Greeting, std::unique_ptr<Client>>> out;
        wait_until("all workers answer", [&] {
            auto client = std::make_unique<Client>(port);
            Greeting const greeting = parse(client->read_line());
            if (greeting.generation == generation) out.try_emplace(greeting.number, greeting, std::move(client));
            return out.size() == count;
        });
        return out;
    }

    int pipe[2];
    std::shared_ptr<Descriptor const> listener;
    std::uint16_t port = 0;
    SupervisorTiming timing{.back_off_first = 20ms, .back_off_longest = 2000ms};
    std::mutex mutex;
    std::optional<Plan> next;
    std::atomic<bool> serving{false}, done{false};
    Result<void> result;
    std::thread thread;
};

TEST_F(SupervisorTest, StartsAsManyWorkersAsPlannedAndStopsThemAll) {
    start(plan(3, "a"));
    auto const workers = all(3, "a");
    stop();
    EXPECT_TRUE(result);
    for (auto const& [number, worker] : workers) EXPECT_FALSE(lives(worker.first.pid)) << number;
}

TEST_F(SupervisorTest, TellsWhyTheFirstWorkerDidNotStart) {
    start(plan(2, "a", "fail"));
    thread.join();
    EXPECT_FALSE(serving);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "this configuration is bad");
}

TEST_F(SupervisorTest, TellsHowTheFirstWorkerEnded) {
    start(plan(2, "a", "crash"));
    thread.join();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "the first worker ended: exit code 7");
}

TEST_F(SupervisorTest, StopsWhileTheFirstWorkerStarts) {
    run(plan(1, "a", "sleep"));
    stop();
    EXPECT_TRUE(result);
    EXPECT_FALSE(serving);
}

TEST_F(SupervisorTest, GivesUpAFirstWorkerThatIsNeverReady) {
    timing.start = 200ms;
    start(plan(1, "a", "sleep"));
    thread.join();
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().message, "was not ready after 200 ms");
}

TEST_F(SupervisorTest, ReplacesAKilledWorkerWhileTheOthersGoOn) {
    start(plan(3, "a"));
    auto workers = all(3, "a");
    ::kill(workers.at("2").first.pid, SIGKILL);
    EXPECT_EQ(workers.at("2").second->read_to_end(), "");
    for (char const* other : {"1", "3"}) {
        workers.at(other).second->send("count 1\n");
        EXPECT_EQ(workers.at(other).second->read_line(), "ok\n");
    }
    auto const again = all(3, "a");
    EXPECT_NE(again.at("2").first.pid, workers.at("2").first.pid);
    EXPECT_EQ(again.at("1").first.pid, workers.at("1").first.pid);
}

TEST_F(SupervisorTest, LosesNoQueuedConnectionWhenTheOnlyWorkerDies) {
    start(plan(1, "a"));
    Greeting const first = visit();
    ::kill(first.pid, SIGSTOP);  // nobody accepts
    Client queued(port), more(port);
    ::kill(first.pid, SIGKILL);
    EXPECT_NE(parse(queued.read_line()).pid, first.pid);
    EXPECT_NE(parse(more.read_line()).pid, first.pid);
}

TEST_F(SupervisorTest, StartsAWorkerThatFailsAgainLaterAndLater) {
    start(plan(1, "a"));
    auto const begin = Clock::now();
    for (int i = 0; i < 5; ++i) {  // pauses of 20, 40, 80, 160 ms, and of 320 before the next visit
        Client client(port);
        client.read_line();
        client.send("die 3\n");
        EXPECT_EQ(client.read_to_end(), "");
    }
    visit();
    EXPECT_GE(Clock::now() - begin, 620ms);
}

TEST_F(SupervisorTest, ForgetsFailuresOfAWorkerThatWasSteady) {
    timing.steady = 0ms;
    timing.back_off_longest = 60s;
    start(plan(1, "a"));
    for (int i = 0; i < 12; ++i) {  // doubled each time, the last pauses would be minutes
        Client client(port);
        client.read_line();
        client.send("kill 9\n");
        EXPECT_EQ(client.read_to_end(), "");
    }
    visit();
}

TEST_F(SupervisorTest, RollsOneByOneWithoutRefusingAnyone) {
    start(plan(3, "a"));
    all(3, "a").clear();
    std::atomic<bool> rolled{false};
    std::atomic<int> visits{0};
    std::thread visitor([&] {
        while (!rolled) {
            Client client(port);
            std::string const line = client.read_line();
            EXPECT_FALSE(line.empty());
            client.send("count 1\n");
            EXPECT_EQ(client.read_line(), "ok\n");
            ++visits;
        }
    });
    roll(plan(3, "b"));
    auto const workers = all(3, "b");
    wait_until("none of the old is left", [&] {
        for (int i = 0; i < 30; ++i)
            if (visit().generation != "b") return false;
        return true;
    });
    rolled = true;
    visitor.join();
    EXPECT_GT(visits, 0);
}

double failed_reloads() { return metrics::counter("mallard_reloads_total", {{"result", "failed"}}).value(); }

TEST_F(SupervisorTest, KeepsTheOldWorkersWhenTheNewConfigurationIsWrong) {
    start(plan(2, "a"));
    auto const before = all(2, "a");
    for (std::optional<Plan> const& wrong :
         {std::optional<Plan>(), std::optional(plan(2, "b", "fail")), std::optional(plan(2, "b", "crash"))}) {
        double const failed = failed_reloads();
        roll(wrong);
        wait_until("the roll is given up", [&] { return failed_reloads() == failed + 1; });
        auto const after = all(2, "a");
        for (char const* number : {"1", "2"}) EXPECT_EQ(after.at(number).first.pid, before.at(number).first.pid);
    }
    roll(plan(2, "c"));
    all(2, "c");
}

TEST_F(SupervisorTest, RestartsByTheOldPlanAfterARefusedOne) {
    start(plan(2, "a"));
    auto const before = all(2, "a");
    double const failed = failed_reloads();
    roll(plan(2, "b", "fail"));
    wait_until("the roll is given up", [&] { return failed_reloads() == failed + 1; });
    ::kill(before.at("1").first.pid, SIGKILL);
    auto const after = all(2, "a");
    EXPECT_EQ(after.at("2").first.pid, before.at("2").first.pid);
}

TEST_F(SupervisorTest, GrowsAndShrinksWithTheNewPlan) {
    start(plan(1, "a"));
    roll(plan(3, "b"));
    all(3, "b").clear();
    roll(plan(1, "c"));
    all(1, "c").clear();
    wait_until("the others have gone", [&] {
        for (int i = 0; i < 30; ++i)
            if (visit().generation != "c") return false;
        return true;
    });
}

TEST_F(SupervisorTest, KillsWhoDoesNotStopInTime) {
    timing.stop = 300ms;
    start(plan(2, "a"));
    auto const workers = all(2, "a");
    workers.at("1").second->send("hang\n");
    EXPECT_EQ(workers.at("1").second->read_line(), "ok\n");
    auto const begin = Clock::now();
    stop();
    EXPECT_GE(Clock::now() - begin, 300ms);
    EXPECT_LT(Clock::now() - begin, 5s);
    EXPECT_FALSE(lives(workers.at("1").first.pid));
}

std::string metrics_from(Client& client) {
    client.send("metrics\n");
    std::string out;
    for (std::string line = client.read_line(); line != "end\n" && !line.empty(); line = client.read_line())
        out += line;
    return out;
}

TEST_F(SupervisorTest, SumsTheMetricsOfItsWorkersAlsoOfThoseThatEnded) {
    timing.metrics = 5s;
    start(plan(2, "a"));
    auto workers = all(2, "a");
    for (char const* number : {"1", "2"}) {
        workers.at(number).second->send("count 5\n");
        EXPECT_EQ(workers.at(number).second->read_line(), "ok\n");
    }
    std::string const text = metrics_from(*workers.at("1").second);
    EXPECT_NE(text.find("\ntest_count 10\n"), std::string::npos) << text;
    EXPECT_NE(text.find("\nmallard_workers 2\n"), std::string::npos) << text;
    ::kill(workers.at("2").first.pid, SIGKILL);  // what it told last is kept
    EXPECT_EQ(workers.at("2").second->read_to_end(), "");
    workers.at("1").second->send("count 1\n");
    EXPECT_EQ(workers.at("1").second->read_line(), "ok\n");
    auto const again = all(2, "a");
    EXPECT_NE(metrics_from(*workers.at("1").second).find("\ntest_count 11\n"), std::string::npos);
}

TEST_F(SupervisorTest, SumsMetricsWithoutAWorkerThatDoesNotAnswer) {
    timing.metrics = 100ms;
    start(plan(2, "a"));
    auto workers = all(2, "a");
    ::kill(workers.at("2").first.pid, SIGSTOP);
    EXPECT_NE(metrics_from(*workers.at("1").second).find("\ntest_count 0\n"), std::string::npos);
    ::kill(workers.at("2").first.pid, SIGCONT);
}

}  // namespace
}  // namespace mallard::app
