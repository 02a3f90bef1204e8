#include "app/metrics_sum.hpp"

#include <gtest/gtest.h>

namespace mallard::app {
namespace {

TEST(MetricsSum, AddsCountersGaugesAndHistogramsSeriesBySeries) {
    MetricsSum sum;
    sum.add("# TYPE c counter\nc{a=\"x y\"} 1\nc{a=\"z\"} 2\n# TYPE g gauge\ng 5\n");
    sum.add(
        "# TYPE c counter\nc{a=\"x y\"} 10.5\n# TYPE g gauge\ng 1\n"
        "# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n");
    sum.add("# TYPE h histogram\nh_bucket{le=\"0.5\"} 1\nh_bucket{le=\"+Inf\"} 1\nh_sum 0.25\nh_count 1\n");
    EXPECT_EQ(sum.render(),
              "# TYPE c counter\nc{a=\"x y\"} 11.5\nc{a=\"z\"} 2\n# TYPE g gauge\ng 6\n"
              "# TYPE h histogram\nh_bucket{le=\"0.5\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 3.25\nh_count 3\n");
}

TEST(MetricsSum, TakesTheFirstOrTheLeastWhereASumMeansNothing) {
    MetricsSum sum;
    for (char const* up : {"1", "0", "1"})
        sum.add(
            "# TYPE wildduck_info gauge\nwildduck_info{version=\"1\"} 1\n# TYPE wildduck_service_up gauge\n"
            "wildduck_service_up{service=\"imap\"} " +
            std::string(up) + "\n");
    EXPECT_EQ(sum.render(),
              "# TYPE wildduck_info gauge\nwildduck_info{version=\"1\"} 1\n"
              "# TYPE wildduck_service_up gauge\nwildduck_service_up{service=\"imap\"} 0\n");
}

TEST(MetricsSum, KeepsTheCountersOfTheEndedButNotTheirGauges) {
    MetricsSum sum;
    sum.add_counters("# TYPE c counter\nc 3\n# TYPE g gauge\ng 5\n");
    sum.add("# TYPE c counter\nc 1\n# TYPE g gauge\ng 2\n");
    EXPECT_EQ(sum.render(), "# TYPE c counter\nc 4\n# TYPE g gauge\ng 2\n");
}

TEST(MetricsSum, IsTheSameTextAgainForOneProcess) {
    std::string const text = "# TYPE a counter\na 1e+20\n# TYPE b gauge\nb +Inf\nb{x=\"\\\"\\n\"} -2.5\n";
    MetricsSum sum;
    sum.add(text);
    EXPECT_EQ(sum.render(), text);
}

TEST(MetricsSum, LeavesOutWhatItDoesNotUnderstand) {
    MetricsSum sum;
    sum.add("stray 1\n# HELP x y\n# TYPE c counter\nc nonsense\nother 3\nc 1\n# TYPE\n\n");
    EXPECT_EQ(sum.render(), "# TYPE c counter\nc 1\n");
}

}  // namespace
}  // namespace mallard::app
