#include "store/cluster/attachments.hpp"

#include <gtest/gtest.h>

namespace mallard::store::cluster {
namespace {

// The text must outlive the body.
StoredBody body_of(std::string_view text, std::string encoding = "base64") {
    return {.text = BodyText::of(text), .transfer_encoding = std::move(encoding)};
}

std::string stored_bytes(StoredBody const& body) {
    StoredBytes bytes(stored_form(body).decoded);
    std::string out;
    body.text.for_each([&](std::string_view piece) { bytes.take(piece, out); });
    return out;
}

// The octets [from, to) of a body, by way of what is stored of it.
std::string read_back(std::string const& stored, EncodedShape const& shape, std::uint64_t from, std::uint64_t to) {
    std::string out;
    auto const range = shape.stored_range(from, to);
    shape.append(from, to, std::string_view(stored).substr(range.from, range.to - range.from), out);
    return out;
}

TEST(StoredForm, DecodesWhatItCanEncodeAgain) {
    std::string const long_line(76, 'A');
    struct {
        std::string encoded, stored;
        std::size_t line_length;
    } const rows[] = {
        {"JVBERg==", "%PDF", 76},
        {"QUJD\r\nREVG\r\nRw==", "ABCDEFG", 4},
        {"QUJDREV\r\nGRw==", "ABCDEFG", 7},
        {long_line + "\r\n" + long_line, std::string(114, '\0'), 76},
        {long_line, std::string(57, '\0'), 77},  // of a full single line WildDuck makes two (§10.3)
    };
    for (auto const& row : rows) {
        auto const form = stored_form(body_of(row.encoded));
        EXPECT_TRUE(form.decoded) << row.encoded;
        EXPECT_EQ(stored_bytes(body_of(row.encoded)), row.stored);
        EXPECT_EQ(form.line_length, row.line_length);
        EXPECT_EQ(encode_lines(row.stored, form.line_length), row.encoded);
    }
}

TEST(StoredForm, KeepsWhatDecodingWouldLose) {
    std::string const long_line(76, 'A');
    for (std::string const encoded :
         {"JVBERg==\r\n", "QUJD\r\nRE\r\nVG", "JVBERh==", "QUJD \r\nREVG", "QUJD!", "QUJD\rREVG", "QUJD\r\r\nREVG",
          "QUI=\r\nQUJD", "QUJDR", "\r\nQUJD", "QUJD\r\n\r\nREVG"}) {
        auto const form = stored_form(body_of(encoded));
        EXPECT_FALSE(form.decoded) << encoded;
        EXPECT_EQ(stored_bytes(body_of(encoded)), encoded);
    }
    EXPECT_FALSE(stored_form(body_of("JVBERg==", "7bit")).decoded);
}

TEST(StoredForm, DecodesAlsoWhatHasBareLineEnds) {
    auto const body = body_of("QUJD\nREVG");
    EXPECT_TRUE(stored_form(body).decoded);
    EXPECT_EQ(stored_bytes(body), "ABCDEF");
}

TEST(StoredForm, IsKnownToGiveBackABodyOrNot) {  // whoever wrote it
    struct {
        std::string encoded;
        EncodedShape stored;
        bool gives_back;
    } const rows[] = {
        {"JVBERg==", {.length = 4, .decoded = true, .line_length = 76, .encoded_size = 8}, true},
        {"JVBERg==", {.length = 4, .decoded = true, .line_length = 8, .encoded_size = 8}, true},
        {"JVBERg==", {.length = 4, .decoded = true, .line_length = 7, .encoded_size = 8}, false},
        {"JVBERg==", {.length = 8}, true},
        {"JVBERg==\r\n", {.length = 4, .decoded = true, .line_length = 76, .encoded_size = 10}, true},
        {"JVBERg==\r\n\r\n", {.length = 4, .decoded = true, .line_length = 76, .encoded_size = 12}, true},
        {"JVBERg== \r\n", {.length = 4, .decoded = true, .line_length = 76, .encoded_size = 11}, false},
        {"JVBERh==",
         {.length = 4, .decoded = true, .line_length = 76, .encoded_size = 8},
         false},  // bits are left over
        {"JVBERh==", {.length = 8}, true},
        {"QUJD\r\nREVG\r\nRw==", {.length = 7, .decoded = true, .line_length = 4, .encoded_size = 16}, true},
        {"QUJD\r\nREVG\r\nRw==", {.length = 7, .decoded = true, .line_length = 6, .encoded_size = 16}, false},
        {"QUJD\r\nRE\r\nVG", {.length = 6, .decoded = true, .line_length = 4, .encoded_size = 12}, false},
        {"QUI=\r\nQUJD", {.length = 2, .decoded = true, .line_length = 4, .encoded_size = 10}, false},
    };
    for (auto const& row : rows) {
        auto const body = body_of(row.encoded);
        EXPECT_EQ(gives_back(row.stored, body), row.gives_back) << row.encoded << ' ' << row.stored.line_length;
        if (!row.gives_back || !row.stored.decoded) continue;
        std::string bytes;
        StoredBytes(true).take(row.encoded, bytes);
        EXPECT_EQ(read_back(bytes, row.stored, 0, row.encoded.size()), row.encoded);
    }
}

TEST(EncodedShape, GivesAnyRangeOfTheEncodedOctets) {
    std::string const stored = "The quick brown fox jumps over the lazy dog, twice.";
    for (std::uint64_t line_length : {1u, 3u, 4u, 7u, 20u, 76u, 998u})
        for (std::size_t length : {0u, 1u, 2u, 3u, 4u, 50u, 51u}) {
            auto const bytes = stored.substr(0, length);
            std::string const encoded = encode_lines(bytes, line_length);
            EncodedShape const shape{.length = length, .decoded = true, .line_length = line_length};
            ASSERT_EQ(shape.size(), encoded.size()) << line_length << ' ' << length;
            for (std::size_t from = 0; from <= encoded.size(); ++from)
                for (std::size_t to = from; to <= encoded.size(); ++to)
                    ASSERT_EQ(read_back(bytes, shape, from, to), encoded.substr(from, to - from))
                        << line_length << ' ' << length << ' ' << from << ' ' << to;
        }
}

TEST(EncodedShape, MakesUpForTheLineEndsThatWildDuckDrops) {  // storage.md §10.3
    for (auto const& [size, end] : {std::pair(8u, ""), {10u, "\r\n"}, {12u, "\r\n\r\n"}, {13u, "\r\n\r\n "}}) {
        EncodedShape const shape{.length = 4, .decoded = true, .line_length = 76, .encoded_size = size};
        std::string const whole = std::string("JVBERg==") + end;
        for (std::size_t from = 0; from <= size; ++from)
            EXPECT_EQ(read_back("%PDF", shape, from, size), whole.substr(from)) << size << ' ' << from;
    }
}

}  // namespace
}  // namespace mallard::store::cluster
