#include "imap_proto/sequence.hpp"

#include <gtest/gtest.h>

namespace mallard::imap_proto {
namespace {

TEST(SequenceSet, ResolvesAgainstTheLargestNumber) {
    struct Row {
        std::string_view text;
        std::uint32_t largest, cut;
        std::string_view numbers;
    };
    for (Row const& row : {Row{"1", 9, 9, "1"}, Row{"1:3", 9, 9, "1:3"}, Row{"3:1", 9, 9, "1:3"}, Row{"*", 9, 9, "9"},
                           Row{"5:*", 9, 9, "5:9"}, Row{"*:5", 9, 9, "5:9"}, Row{"20:*", 9, 9, "9"},
                           Row{"1,1,2", 9, 9, "1:2"}, Row{"7,1:2", 9, 9, "1:2,7"}, Row{"1:100", 9, 9, "1:9"},
                           Row{"50", 9, 9, ""}, Row{"*:*", 9, 9, "9"}, Row{"*", 0, 0, ""}, Row{"1:*", 0, 0, ""},
                           Row{"4294967295", 5, 0xffffffff, "4294967295"}, Row{"3,1:5,2:9", 9, 9, "1:9"}}) {
        auto const set = parse_sequence_set(row.text);
        ASSERT_TRUE(set) << row.text;
        EXPECT_EQ(set->resolve(row.largest, row.cut).to_string(), row.numbers) << row.text;
    }
}

TEST(SequenceSet, RefusesZeroEmptyAndTrailingComma) {
    for (std::string_view bad :
         {"", "0", "1,", ",1", "1:", ":1", "1:0", "a", "4294967296", "1:2:3", "-1", "+1", "1 ", "**", "1;2", "0:*"})
        EXPECT_FALSE(parse_sequence_set(bad)) << "accepted: " << bad;
}

}  // namespace
}  // namespace mallard::imap_proto
