#include "store/cluster/attachments.hpp"

#include <gtest/gtest.h>

namespace mallard::store::cluster {
namespace {

StoredBody body_of(std::string encoded, std::string encoding = "base64") {
    StoredBody body{.encoded = std::move(encoded), .transfer_encoding = std::move(encoding)};
    for (char c : body.encoded) body.lines += c == '\n';
    return body;
}

TEST(StoredForm, DecodesWhatItCanEncodeAgain) {
    std::string const long_line(76, 'A');
    struct {
        std::string encoded, stored;
        std::size_t line_length;
    } const rows[] = {
        {"JVBERg==", "%PDF", 76},
        {"QUJD\r\nREVG\r\nRw==", "ABCDEFG", 4},
        {long_line + "\r\n" + long_line, std::string(114, '\0'), 76},
        {long_line, std::string(57, '\0'), 76},
    };
    for (auto const& row : rows) {
        auto const form = stored_form(body_of(row.encoded));
        EXPECT_TRUE(form.decoded) << row.encoded;
        EXPECT_EQ(form.bytes, row.stored);
        EXPECT_EQ(form.line_length, row.line_length);
        EXPECT_EQ(encode_lines(form.bytes, form.line_length), row.encoded);
    }
}

TEST(StoredForm, KeepsWhatDecodingWouldLose) {
    std::string const long_line(76, 'A');
    for (std::string const encoded :
         {"JVBERg==\r\n", "QUJD\r\nRE\r\nVG", "JVBERh==", "QUJD \r\nREVG", "QUJD!", "QUJD\nREVG"}) {
        auto const form = stored_form(body_of(encoded));
        EXPECT_FALSE(form.decoded) << encoded;
        EXPECT_EQ(form.bytes, encoded);
    }
    EXPECT_FALSE(stored_form(body_of("JVBERg==", "7bit")).decoded);
}

}  // namespace
}  // namespace mallard::store::cluster
