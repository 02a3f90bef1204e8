#include "mime/header.hpp"

#include <gtest/gtest.h>

#include <string>

#include "base/encoding.hpp"
#include "mime/charset.hpp"

namespace mallard::mime {
namespace {

std::string show(Address const& address) {
    if (!address.is_group) return address.name + "|" + address.mailbox + "|" + address.host;
    std::string out = address.name + ":{";
    for (Address const& member : address.group) out += show(member) + ";";
    return out + "}";
}

std::string show(std::string_view list) {
    std::string out;
    for (Address const& address : parse_addresses(list)) out += (out.empty() ? "" : ", ") + show(address);
    return out;
}

TEST(Unfold, RemovesLineEndsAndKeepsTheBlankBehind) {
    struct Row {
        std::string_view raw, unfolded;
    };
    for (Row const row : {Row{"", ""},
                          {" a ", "a"},
                          {"a\r\n b", "a b"},
                          {"a\n\tb", "a\tb"},
                          {"a\r\n  b\r\n c", "a  b c"},
                          {"\r\n a", "a"},
                          {"a\rb", "a\rb"}})
        EXPECT_EQ(unfold(row.raw), row.unfolded);
}

TEST(DecodeWords, ReadsEncodedWordsAndLeavesTheRest) {
    struct Row {
        std::string_view encoded, decoded;
    };
    for (Row const row : {
             Row{"", ""},
             {"plain", "plain"},
             {"=?utf-8?q?a_b=C3=A4?=", "a bä"},
             {"=?UTF-8?B?w6Q=?=", "ä"},
             {"=?UTF-8?B?w6Q?=", "ä"},
             {"=?iso-8859-1*en?q?=E4?=", "ä"},
             {"a =?utf-8?q?b?= c", "a b c"},
             {"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},  // RFC 2047 §6.2
             {"=?utf-8?q?a?=\r\n =?iso-8859-1?q?=E4?=", "aä"},
             {"=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"},
             {"=?utf-8?b?w6?= =?utf-8?b?Q=?=", "ä"},  // a character, and a group, cut in two
             {"=?utf-8?q?=C3?= =?utf-8?q?=A4?=", "ä"},
             {"=?x-unknown?q?=C3=A4?=", "ä"},
             {"=?x-unknown?q?=E4?=", "ä"},
             {"=?utf-8?q?a b?=", "a b"},
             {"=?utf-8?x?a?=", "=?utf-8?x?a?="},
             {"=?utf-8?q?a", "=?utf-8?q?a"},
             {"=??q?a?=", "=??q?a?="},
             {"=?utf-8?q?=4?=", "=4"},
             {"=?=?utf-8?q?a?=", "=?a"},
             {"\xC3\xA4", "ä"},
             {"\xE4", "ä"},  // windows-1252
             {"=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x"},
             {"=?utf-8?q?=FF?=", "\uFFFD"},
             {"=?iso-2022-jp?b?GyRCJCIbKEI=?=", "あ"},
             {"=?ks_c_5601-1987?b?sKE=?=", "가"},
             {"=?gb2312?b?xOM=?=", "你"},
         })
        EXPECT_EQ(decode_words(row.encoded), row.decoded) << row.encoded;
}

TEST(DecodeWords, IsLinearOnHostileInput) {
    std::string hostile, unclosed;
    while (hostile.size() < 4'000'000) {
        hostile += "=?a?q?=?=";
        unclosed += "=?a?q?x ";
    }
    EXPECT_TRUE(is_valid_utf8(decode_words(hostile)));
    EXPECT_TRUE(decode_words(unclosed) == unclosed);
}

TEST(EncodeWords, RoundTripsAndStaysWithinWordLength) {
    std::string long_text;
    for (int i = 0; i < 100; ++i) long_text += "日本語 ä\"=?_";
    for (std::string const& text : {std::string("plain"), std::string("ä"), std::string("=?utf-8?q?a?="),
                                    std::string("tab\tend"), long_text, std::string("emoji 😀 x")}) {
        std::string const encoded = encode_words(text);
        EXPECT_EQ(decode_words(encoded), text);
        for (std::size_t at = 0; at < encoded.size();) {
            std::size_t const end = std::min(encoded.find(' ', at), encoded.size());
            EXPECT_LE(end - at, 75u);
            at = end + 1;
        }
    }
    EXPECT_EQ(encode_words("a\r\nb"), "=?UTF-8?Q?a=0D=0Ab?=");
}

TEST(ParseAddresses, ReadsWhatSendersWrite) {
    struct Row {
        std::string_view list, expected;
    };
    for (Row const row : {
             Row{"", ""},
             {"a@b", "|a|b"},
             {"<a@b>", "|a|b"},
             {"A B <a@b>", "A B|a|b"},
             {"\"A, B\" <a@b>, c@d", "A, B|a|b, |c|d"},
             {"\"A \\\"x\\\" B\" <a@b>", "A \"x\" B|a|b"},
             {"a@b (Ann)", "Ann|a|b"},
             {"a@b (Ann (nested) \\) x)", "Ann (nested) ) x|a|b"},
             {"=?utf-8?q?=C3=A4?= <a@b>", "ä|a|b"},
             {"\"=?utf-8?q?=C3=A4?=\" <a@b>", "ä|a|b"},
             {"team: a@b, C <c@d>;", "team:{|a|b;C|c|d;}"},
             {"undisclosed-recipients:;", "undisclosed-recipients:{}"},
             {"team: a@b", "team:{|a|b;}"},
             {"g: a@b; x@y", "g:{|a|b;}, |x|y"},
             {"root", "|root|"},
             {"some words", "some words||"},
             {"A a@b", "A|a|b"},
             {"a <x>", "a|x|"},
             {"<@r1:a@b>", "|a|b"},
             {"\"a b\"@c", "|a b|c"},
             {"<\"a@b\"@c>", "|a@b|c"},
             {"a@[127.0.0.1]", "|a|[127.0.0.1]"},
             {"<a@[IPv6:::1]>", "|a|[IPv6:::1]"},
             {"A <a@b", "A|a|b"},
             {"A <a@b, c@d", "A|a|b, |c|d"},
             {",,a@b,,", "|a|b"},
             {"a@b c@d", "a@b|c|d"},
             {"j\xC3\xB6@t\xC3\xA4ht.ee", "|jö|täht.ee"},
             {"\"unclosed <a@b>", "unclosed <a@b>||"},
             {"(only a comment)", "only a comment||"},
             {"<>", ""},
         }) {
        EXPECT_EQ(show(row.list), row.expected) << row.list;
    }
}

TEST(FormatAddresses, IsReadBackTheSame) {
    for (std::string_view list :
         {"a@b", "A B <a@b>", "\"A, B\" <a@b>, c@d", "team: a@b, \"x;y\" <c@d>;", "g:;", "=?utf-8?q?=C3=A4?= <a@b>",
          "root", "\"root\"", "\"a b\"@c", "<a@[IPv6:::1]>", "some words", "\"=?x\" <a@b>"}) {
        EXPECT_EQ(show(format_addresses(parse_addresses(list))), show(list)) << list;
    }
    EXPECT_EQ(format_addresses(parse_addresses("a@t\xC3\xA4ht.ee")), "a@xn--tht-qla.ee");
}

TEST(ParseAddresses, IsBoundedAndLinear) {
    std::string many, quotes, comments;
    while (many.size() < 4'000'000) {
        many += "a@b,";
        quotes += "\"a\"b<";
        comments += "(:";
    }
    EXPECT_EQ(parse_addresses(many).size(), 10'000u);
    EXPECT_LE(parse_addresses(quotes).size(), 10'000u);
    EXPECT_LE(parse_addresses(comments).size(), 1u);
}

TEST(ParseDate, ReadsWhatSendersWrite) {
    constexpr TimeMs noon = 1'704'110'400'000;  // 2024-01-01T12:00:00Z
    for (std::string_view text : {
             "Mon, 01 Jan 2024 12:00:00 +0000",
             "1 Jan 2024 12:00 GMT",
             "Mon, 1 Jan 2024 13:00:00 +0100 (CET)",
             "Mon, 1 Jan 24 07:00:00 EST",
             "Monday, January 1, 2024 12:00:00 UTC",
             "2024-01-01T12:00:00Z",
             "2024-01-01T12:00:00.000+00:00",
             "2024-01-01 12:00:00",
             "Mon Jan  1 12:00:00 2024",
             "Mon Jan  1 13:00:00 CET 2024",
             "01-Jan-2024 12:00:00 +0000",
             "Mon,1 Jan 2024 12:00:00 GMT+0000",
             "(comment) 1 (x) Jan 2024 12:00:00 -0000",
             "1 Jan 2024 12:00:00 PM",
             "Mon, 01 Jan 2024 12.00.00 +0000",
             "1 Jan 2024 06:00:00 -06:00",
         })
        EXPECT_EQ(parse_date(text), noon) << text;
    EXPECT_EQ(parse_date("1 Jan 1970 00:00:00 +0000"), 0);
    EXPECT_EQ(parse_date("31 Dec 1969 23:59:59 +0000"), -1000);
    EXPECT_EQ(parse_date("29 Feb 2024 00:00:00 Z"), 1'709'164'800'000);
}

TEST(ParseDate, RefusesWhatIsNone) {
    for (std::string_view text : {"", "x", "Mon", "1 Jan", "Jan 2024", "32 Jan 2024 12:00", "29 Feb 2023", "0 Jan 2024",
                                  "2024-13-01", "12:00:00", "99999999999999999999", "1 Jan 99999 10:00"})
        EXPECT_EQ(parse_date(text), std::nullopt) << text;
}

TEST(FormatDate, IsReadBackTheSame) {
    EXPECT_EQ(format_date(1'704'110'400'000), "Mon, 01 Jan 2024 12:00:00 +0000");
    EXPECT_EQ(format_date(0), "Thu, 01 Jan 1970 00:00:00 +0000");
    for (TimeMs when = -2'000'000'000'000; when < 4'000'000'000'000; when += 12'345'678'000)
        EXPECT_EQ(parse_date(format_date(when)), when);
}

TEST(ParseMessageIds, TakesWhatStandsInBrackets) {
    using Ids = std::vector<std::string>;
    EXPECT_EQ(parse_message_ids("<a@b> <c@d>"), (Ids{"<a@b>", "<c@d>"}));
    EXPECT_EQ(parse_message_ids("Your message of today <a@b>"), Ids{"<a@b>"});
    EXPECT_EQ(parse_message_ids("a@b, c@d"), (Ids{"<a@b>", "<c@d>"}));
    EXPECT_EQ(parse_message_ids("<a <b@c>"), Ids{"<b@c>"});
    EXPECT_EQ(parse_message_ids("none"), Ids{});
    EXPECT_EQ(parse_message_ids("<unclosed"), Ids{});
}

TEST(ToUtf8, KnowsTheCharsetsOfMail) {
    struct Row {
        std::string_view charset, bytes, text;
    };
    for (Row const row : {Row{"utf-8", "\xC3\xA4", "ä"},
                          {"UTF8", "\xFF", "\uFFFD"},
                          {"us-ascii", "\xE4", "ä"},
                          {"iso-8859-15", "\xA4", "€"},
                          {"windows-1251", "\xE4", "д"},
                          {"koi8-r", "\xC4", "д"},
                          {"big5", "\xA7\x41", "你"},
                          {"euc-jp", "\xA4\xA2", "あ"},
                          {"utf-16le", std::string_view("\xE4\0", 2), "ä"},
                          {"utf-7", "+AOQ-", "ä"},
                          {" \"x", "a", "a"},
                          {"../../etc/passwd", "a", "a"},
                          {"iso-8859-1", "\x80", "€"},
                          {"shift_jis", "\x82", "\uFFFD"},
                          {"", "", ""}})
        EXPECT_EQ(to_utf8(row.bytes, row.charset), row.text) << row.charset;
}

TEST(ToUtf8, ConvertsMoreThanOneBuffer) {
    EXPECT_EQ(to_utf8(std::string(100'000, '\xE4'), "iso-8859-1").size(), 200'000u);
}

TEST(ToValidUtf8, ReplacesWhatIsNone) {
    EXPECT_EQ(to_valid_utf8("a\xFF\xC3\xA4\xC3"), "a\uFFFDä\uFFFD");
    EXPECT_EQ(to_valid_utf8("\xED\xA0\x80"), "\uFFFD\uFFFD\uFFFD");
}

TEST(DecodeTransfer, TakesAnyGarbage) {
    struct Row {
        std::string_view encoding, content, decoded;
    };
    for (Row const row : {Row{"base64", "SGVs\r\nbG8=", "Hello"},
                          {"BASE64", "SGVsbG8", "Hello"},
                          {"base64", "S*G V-s bG8=", "Hello"},
                          {"base64", "YQ==Yg==", "ab"},
                          {"base64", "=", ""},
                          {"base64", "", ""},
                          {"base64", "A", ""},
                          {"quoted-printable", "a=\r\nb", "ab"},
                          {"quoted-printable", "a=20 \t\r\nb", "a \r\nb"},
                          {"quoted-printable", "=", ""},
                          {"quoted-printable", "=e4=E4", "\xE4\xE4"},
                          {"quoted-printable", "a=\nb\n", "ab\n"},
                          {"quoted-printable", "=G1", "=G1"},
                          {"7bit", "=41", "=41"},
                          {"x-unknown", "abc", "abc"}})
        EXPECT_EQ(decode_transfer(row.content, row.encoding), row.decoded) << row.content;
}

TEST(CollationKey, SortsAsPeopleDo) {
    EXPECT_LT(collation_key("a"), collation_key("Ä"));
    EXPECT_LT(collation_key("Ä"), collation_key("B"));
    EXPECT_LT(collation_key("B"), collation_key("c"));
    EXPECT_EQ(collation_key("\xFF"), collation_key("\xFE"));
}

TEST(FoldCase, FoldsByUnicode) {
    EXPECT_EQ(fold_case("ABC"), "abc");
    EXPECT_EQ(fold_case("ÄÖ"), "äö");
    EXPECT_EQ(fold_case("Straße"), "strasse");
    EXPECT_EQ(fold_case("\xFF"), "\uFFFD");
}

TEST(DomainToAscii, ConvertsBothWays) {
    EXPECT_EQ(domain_to_ascii("täht.ee"), "xn--tht-qla.ee");
    EXPECT_EQ(domain_to_unicode("xn--tht-qla.ee"), "täht.ee");
    EXPECT_EQ(domain_to_ascii("example.com"), "example.com");
}

}  // namespace
}  // namespace mallard::mime
