#include "base/metrics.hpp"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>
#include <vector>

namespace mallard::metrics {
namespace {

bool has_line(std::string const& line) { return ("\n" + render()).find("\n" + line + "\n") != std::string::npos; }

TEST(Metrics, RenderCountersWithTheirLabels) {
    counter("test_commands_total", {{"command", "fetch"}, {"result", "ok"}}).add();
    counter("test_commands_total", {{"command", "fetch"}, {"result", "ok"}}).add(2);
    EXPECT_TRUE(has_line("# TYPE test_commands_total counter"));
    EXPECT_TRUE(has_line(R"(test_commands_total{command="fetch",result="ok"} 3)"));
}

TEST(Metrics, RenderGaugesThatAreAskedWhenRendered) {
    double value = 1;
    gauge_function("test_asked", [&] { return value; });
    value = 42;
    EXPECT_TRUE(has_line("test_asked 42"));
    gauge_function("test_asked", [] { return 0.0; });
    gauge("test_gauge").set(2.5);
    gauge("test_gauge").add(-1);
    EXPECT_TRUE(has_line("test_gauge 1.5"));
}

TEST(Metrics, RenderHistogramsCumulatively) {
    auto& h = histogram("test_seconds", Buckets::api, {{"route", "/users"}});
    observe(h, 0.003);
    observe(h, 0.005);
    observe(h, 7);
    observe(h, 1000);
    EXPECT_TRUE(has_line(R"(test_seconds_bucket{route="/users",le="0.005"} 2)"));
    EXPECT_TRUE(has_line(R"(test_seconds_bucket{route="/users",le="5"} 2)"));
    EXPECT_TRUE(has_line(R"(test_seconds_bucket{route="/users",le="10"} 3)"));
    EXPECT_TRUE(has_line(R"(test_seconds_bucket{route="/users",le="+Inf"} 4)"));
    EXPECT_TRUE(has_line(R"(test_seconds_count{route="/users"} 4)"));
}

TEST(Metrics, EscapeLabelValues) {
    counter("test_escaped", {{"x", "a\"b\\c\nd"}}).add();
    EXPECT_TRUE(has_line(R"(test_escaped{x="a\"b\\c\nd"} 1)"));
}

TEST(Metrics, RefuseOneNameWithTwoTypes) {
    counter("test_one_type");
    EXPECT_THROW(gauge("test_one_type"), std::logic_error);
}

TEST(Metrics, LoseNoIncrementOfManyThreads) {
    auto& c = counter("test_threads_total");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&c] {
            for (int i = 0; i < 10'000; ++i) c.add();
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(c.value(), 40'000);
}

TEST(Metrics, TellOfTheProcess) {
    std::string const text = render();
    EXPECT_NE(text.find("process_resident_memory_bytes "), std::string::npos);
    EXPECT_NE(text.find("process_open_fds "), std::string::npos);
}

}  // namespace
}  // namespace mallard::metrics
