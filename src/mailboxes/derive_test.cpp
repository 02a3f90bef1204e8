#include <gtest/gtest.h>

#include "mailboxes/mailboxes.hpp"
#include "mime/message.hpp"
#include "store/bson.hpp"

namespace mallard::mailboxes {
namespace {

struct Derived {
    std::string source;
    mime::Entity tree;
    store::NewMessage message;
    bson::Document info;
};

std::unique_ptr<Derived> derived(std::string source, TimeMs date = 1'700'000'000'000) {
    auto all = std::make_unique<Derived>();
    all->source = std::move(source);
    all->tree = mime::parse(all->source);
    all->message = derive(all->source, all->tree, {}, date, "");
    auto info = bson::Document::decode(all->message.record.info);
    EXPECT_TRUE(info);
    if (info) all->info = *info;
    return all;
}

std::string header_of(store::MessageRecord const& record, std::string_view key) {
    for (auto const& header : decode_headers(record.headers))
        if (header.key == key) return header.value;
    return "(none)";
}

TEST(Derive, TakesAListIdWithoutBracketsForAnIdOrAPhrase) {  // RFC 2919 §2
    auto const id_of = [](std::string const& field) {
        auto const all = derived("List-ID: " + field + "\r\n\r\n");
        auto const* id = all->info.document("list")->document("id");
        return std::string(id->text("name")) + "|" + std::string(id->text("address"));
    };
    EXPECT_EQ(id_of("Ducks <ducks.example.com>"), "Ducks|ducks.example.com");
    EXPECT_EQ(id_of("ducks.example.com"), "|ducks.example.com");
    EXPECT_EQ(id_of("The Ducks List"), "The Ducks List|");
}

TEST(Derive, KeepsWhatListsShow) {
    auto const all = derived(
        "From: =?utf-8?q?J=C3=BCrgen?= <j@example.com>\r\n"
        "To: a@example.com, Team: b@example.com, \"C, D\" <c@example.com>;\r\n"
        "Subject: Re:  =?utf-8?b?R3LDvMOfZQ==?=\r\n hello\r\n"
        "Message-ID: <1@example.com>\r\n"
        "In-Reply-To: <0@example.com>\r\n"
        "References: <x@example.com> <0@example.com>\r\n"
        "Date: Mon, 01 Jan 2024 10:00:00 +0100\r\n"
        "List-ID: Ducks <ducks.example.com>\r\n"
        "List-Unsubscribe: <mailto:u@example.com>, <https://example.com/u>\r\n"
        "\r\nHello there\r\n");
    auto const& info = all->info;
    EXPECT_EQ(info.text("subject"),
              "Re: Gr\xC3\xBC\xC3\x9F"
              "e hello");
    EXPECT_EQ(info.text("messageId"), "<1@example.com>");
    EXPECT_EQ(info.text("inReplyTo"), "<0@example.com>");
    EXPECT_EQ(info.text("intro"), "Hello there");
    ASSERT_TRUE(info.array("from"));
    auto const* from = info.array("from")->front().as<bson::Document>();
    ASSERT_TRUE(from);
    EXPECT_EQ(from->text("name"), "J\xC3\xBCrgen");
    EXPECT_EQ(from->text("address"), "j@example.com");
    ASSERT_EQ(info.array("to")->size(), 2U);
    auto const* group = (*info.array("to"))[1].as<bson::Document>();
    ASSERT_TRUE(group);
    EXPECT_EQ(group->text("name"), "Team");
    ASSERT_TRUE(group->array("group"));
    EXPECT_EQ(group->array("group")->size(), 2U);
    EXPECT_EQ(info.array("references")->size(), 2U);
    EXPECT_EQ(info.find_path("list.id.address")->as<std::string>()[0], "ducks.example.com");
    EXPECT_EQ(info.document("list")->array("unsubscribe")->size(), 2U);
    EXPECT_EQ(info.find_path("contentType.value")->as<std::string>()[0], "text/plain");
    EXPECT_EQ(info.date("hdate"), 1'704'099'600'000);
    EXPECT_EQ(all->message.record.header_date, 1'704'099'600'000);
    EXPECT_FALSE(info.boolean("ha"));
    EXPECT_FALSE(info.find("attachments"));
    EXPECT_FALSE(info.find("cc"));
}

TEST(Derive, KeepsWhereAttachmentsLie) {
    auto const all = derived(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n"
        "--b\r\nContent-Type: application/pdf; name=\"a.pdf\"\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment\r\n\r\nQUJD\r\n--b--\r\n");
    EXPECT_TRUE(all->info.boolean("ha"));
    ASSERT_TRUE(all->info.array("attachments"));
    auto const* one = all->info.array("attachments")->front().as<bson::Document>();
    ASSERT_TRUE(one);
    EXPECT_EQ(one->text("id"), "ATT00001");
    EXPECT_EQ(one->text("filename"), "a.pdf");
    EXPECT_EQ(one->text("contentType"), "application/pdf");
    EXPECT_EQ(one->text("disposition"), "attachment");
    EXPECT_EQ(one->integer("size"), 4);
    auto const begin = static_cast<std::size_t>(one->integer("begin"));
    auto const end = static_cast<std::size_t>(one->integer("end"));
    EXPECT_EQ(all->source.substr(begin, end - begin), "QUJD");
}

TEST(Derive, MarksEncryptedMessages) {
    EXPECT_TRUE(derived("Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n")
                    ->info.boolean("encrypted"));
    EXPECT_TRUE(
        derived("Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\n")->info.boolean("encrypted"));
    EXPECT_FALSE(
        derived("Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n\r\n")->info.boolean("encrypted"));
}

TEST(Derive, IndexesHeadersFolded) {
    auto const all = derived(
        "SUBJECT: =?iso-8859-1?q?=C4RGER?=\r\nFrom: A <A@Example.COM>\r\nList-Id: X <Id.Example>\r\nX-Other: y\r\n"
        "Delivered-To: Me@Example.com\r\n\r\n");
    EXPECT_EQ(header_of(all->message.record, "subject"), "\xC3\xA4rger");
    EXPECT_EQ(header_of(all->message.record, "from"), "a <a@example.com>");
    EXPECT_EQ(header_of(all->message.record, "list-id"), "id.example");
    EXPECT_EQ(header_of(all->message.record, "delivered-to"), "me@example.com");
    EXPECT_EQ(header_of(all->message.record, "x-other"), "(none)");
    EXPECT_EQ(header_of(all->message.record, ""), "(none)");
}

TEST(Derive, SaysWhenAHeaderWasCut) {
    auto const all = derived("Subject: " + std::string(100'000, 'x') + "\r\n\r\n");
    EXPECT_EQ(header_of(all->message.record, ""), "");
    EXPECT_LE(all->message.record.headers.size(), 5'000U);
}

TEST(Derive, FallsBackToTheInternalDate) {
    auto const all = derived("Date: yesterday\r\n\r\n", 42'000);
    EXPECT_EQ(all->message.record.header_date, 42'000);
    EXPECT_FALSE(all->info.find("hdate"));
}

TEST(Derive, TakesAnyBytes) {
    for (std::string_view bytes :
         std::initializer_list<std::string_view>{"", "\r\n", "x", std::string_view("\0\0\0", 3),
                                                 "From: <\r\nTo: :;\r\nDate:\r\n\r\n", "\xFF\xFE\r\n\r\n\x80"})
        derived(std::string(bytes));
}

TEST(IndexedHeaders, AreTheSameAfterEncoding) {
    std::vector<IndexedHeader> const headers{
        {"to", "a"}, {"x-unknown", std::string(300, 'v')}, {"subject", ""}, {"", ""}};
    auto const again = decode_headers(encode_headers(headers));
    ASSERT_EQ(again.size(), headers.size());
    for (std::size_t i = 0; i < headers.size(); ++i) {
        EXPECT_EQ(again[i].key, headers[i].key);
        EXPECT_EQ(again[i].value, headers[i].value);
    }
}

TEST(IndexedHeaders, SayWhenTheEncodingIsDamaged) {
    std::string const good = encode_headers({{"to", "abc"}, {"x-y", "def"}});
    for (std::size_t length = 1; length < good.size(); ++length) {
        auto const headers = decode_headers(std::string_view(good).substr(0, length));
        ASSERT_FALSE(headers.empty());
        if (length != encode_headers({{"to", "abc"}}).size()) {
            EXPECT_EQ(headers.back().key, "") << length;
        }
    }
    EXPECT_EQ(decode_headers("\x80").size(), 1U);
}

}  // namespace
}  // namespace mallard::mailboxes
