#include "store/cluster/mime_tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "base/encoding.hpp"

namespace mallard::store::cluster {
namespace {

using bson::Array;
using bson::Binary;
using bson::Document;

std::string bytes_of(MimeTree const& tree, std::vector<Segment> const& segments) {
    std::string out;
    for (auto const& segment : segments) {
        if (segment.attachment.empty()) {
            out += segment.text;
            continue;
        }
        auto const body = std::ranges::find(tree.bodies, segment.attachment, &StoredBody::id);
        if (body == tree.bodies.end()) return "no such body";
        std::string const encoded = body->text.whole();
        for (std::size_t i = 0; i < encoded.size(); ++i)
            if (!segment.bare_lf || encoded.compare(i, 2, "\r\n") != 0) out += encoded[i];
    }
    return out;
}

// What a reader of the document has: the BSON through its bytes.
std::string read_back(MimeTree const& tree) {
    if (tree.exact) {
        auto const document = Document::decode(tree.document().encode());
        auto const segments = rebuild(*document);
        return segments ? bytes_of(tree, *segments) : segments.error().message;
    }
    auto const source = Document::decode(encode_pieces(tree, true).encode());
    auto const segments = decode_pieces(*source, source->find("text")->as<Binary>()->bytes);
    return segments ? bytes_of(tree, *segments) : segments.error().message;
}

std::string rebuilt(MimeTree const& tree) { return bytes_of(tree, *rebuild(tree.document())); }

std::string const worked_example =
    "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Hi\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\n"
    "Message-ID: <m1@example.com>\r\nContent-Type: multipart/mixed; boundary=B1\r\n\r\n"
    "--B1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
    "--B1\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
    "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--B1--\r\n";

Document content(std::string value, std::string type, std::string subtype, Document params) {
    bool const has = !params.empty();
    Document out{{"value", value}, {"type", type}, {"subtype", subtype}, {"params", std::move(params)}};
    if (has) out.set("hasParams", true);
    return out;
}

TEST(MimeTree, WritesTheWorkedExample) {  // storage.md §11.9
    auto const tree = make_tree(worked_example);
    Document const first{
        {"header", Array{"Content-Type: text/plain; charset=utf-8"}},
        {"parsedHeader", Document{{"content-type", content("text/plain", "text", "plain", {{"charset", "utf-8"}})}}},
        {"body", Binary{"Hello"}},
        {"multipart", false},
        {"boundary", false},
        {"lineCount", 0},
        {"size", 5}};
    Document const second{
        {"header", Array{"Content-Type: application/pdf", "Content-Disposition: attachment; filename=a.pdf",
                         "Content-Transfer-Encoding: base64"}},
        {"parsedHeader",
         Document{{"content-transfer-encoding", "base64"},
                  {"content-disposition", content("attachment", "attachment", "", {{"filename", "a.pdf"}})},
                  {"content-type", content("application/pdf", "application", "pdf", {})}}},
        {"body", false},
        {"multipart", false},
        {"boundary", false},
        {"lineCount", 0},
        {"size", 8},
        {"attachmentId", "ATT00001"}};
    Document const ann{{"address", "ann@example.com"}, {"name", "Ann"}};
    Document const expected{
        {"childNodes", Array{first, second}},
        {"header", Array{"From: Ann <ann@example.com>", "To: bob@example.org", "Subject: Hi",
                         "Date: Mon, 01 Jan 2024 10:00:00 +0000", "Message-ID: <m1@example.com>",
                         "Content-Type: multipart/mixed; boundary=B1"}},
        {"parsedHeader",
         Document{{"content-type", content("multipart/mixed", "multipart", "mixed", {{"boundary", "B1"}})},
                  {"message-id", "<m1@example.com>"},
                  {"date", "Mon, 01 Jan 2024 10:00:00 +0000"},
                  {"subject", "Hi"},
                  {"to", Array{Document{{"address", "bob@example.org"}, {"name", ""}}}},
                  {"from", Array{ann}}}},
        {"body", Binary{""}},
        {"multipart", "mixed"},
        {"boundary", "B1"},
        {"lineCount", 0},
        {"size", 0},
        {"attachmentMap",
         Document{
             {"ATT00001", Binary{*hex_decode("ff72362a3ad77891c08e791ef20c51dec456679482ea0265a7293a1bfc7b5167")}}}}};
    EXPECT_EQ(hex_encode(tree.document().encode()), hex_encode(expected.encode()));
    EXPECT_EQ(tree.size, 375u);
    EXPECT_TRUE(tree.exact);
    EXPECT_TRUE(tree.has_attachments);
    Document const attachment{{"id", "ATT00001"},
                              {"filename", "a.pdf"},
                              {"contentType", "application/pdf"},
                              {"disposition", "attachment"},
                              {"transferEncoding", "base64"},
                              {"cid", bson::Null{}},
                              {"related", false},
                              {"sizeKb", 1},
                              {"size", 8}};
    ASSERT_EQ(tree.attachments.size(), 1u);
    EXPECT_EQ(*tree.attachments[0].as<Document>(), attachment);
}

TEST(MimeTree, RebuildsAndCountsAsTheTableSays) {  // storage.md §9.4
    std::string const multipart = "Content-Type: multipart/mixed; boundary=B\r\n\r\n";
    std::string const inner = "Content-Type: multipart/mixed; boundary=I\r\n\r\n";
    struct {
        std::string source, rebuilt;
        std::uint64_t less;  // than the rebuild, in WildDuck's size
    } const rows[] = {
        {"A: b\r\n\r\nx\r\n", "A: b\r\n\r\nx\r\n", 0},
        {"A: b\r\n\r\nx\r\ny\r\n", "A: b\r\n\r\nx\r\ny\r\n", 0},
        {"A: b\r\n\r\n", "A: b\r\n\r\n", 2},
        {"A: b\n\nx\n", "A: b\r\n\r\nx\r\n", 0},
        {multipart + "--B\r\nC: d\r\n\r\nx\r\n--B--\r\n", multipart + "--B\r\nC: d\r\n\r\nx\r\n--B--\r\n", 0},
        {multipart + "--B\r\nC: d\r\n\r\nx\r\n--B--\r\nend\r\n", multipart + "end\r\n--B\r\nC: d\r\n\r\nx\r\n--B--\r\n",
         0},
        {multipart + "--B\r\n\r\nx\r\n--B--\r\n", multipart + "--B\r\n\r\n\r\nx\r\n--B--\r\n", 0},
        {multipart + "--B\r\nC: d\r\n\r\nx\r\n--B--", multipart + "--B\r\nC: d\r\n\r\nx\r\n--B--\r\n", 0},
        {multipart + "--B\r\nC: d\r\n\r\n\r\n--B--\r\n", multipart + "--B\r\nC: d\r\n\r\n\r\n--B--\r\n", 2},
        {multipart + "--B\r\nC: d\r\n\r\n--B--\r\n", multipart + "--B\r\nC: d\r\n\r\n\r\n--B--\r\n", 2},
        {multipart + "text\r\n\r\n--B\r\nC: d\r\n\r\nx\r\n--B--\r\n",
         multipart + "text\r\n\r\n--B\r\nC: d\r\n\r\nx\r\n--B--\r\n", 0},
        {multipart + "--B\r\n" + inner + "--I\r\nC: d\r\n\r\nx\r\n--I--\r\n--B--\r\n",
         multipart + "--B\r\n" + inner + "--I\r\nC: d\r\n\r\nx\r\n--I--\r\n\r\n--B--\r\n", 0},
        {multipart + "--B\r\nC: d\r\n\r\nx\r\n", multipart + "--B\r\nC: d\r\n\r\nx\r\n\r\n--B--\r\n", 0},
    };
    for (auto const& row : rows) {
        auto const tree = make_tree(row.source);
        EXPECT_EQ(rebuilt(tree), row.rebuilt) << row.source;
        EXPECT_EQ(tree.size, row.rebuilt.size() - row.less) << row.source;
        EXPECT_EQ(tree.exact, row.source == row.rebuilt) << row.source;
        EXPECT_EQ(read_back(tree), row.source);
    }
}

TEST(MimeTree, MeetsNoBoundaryThatIsNotAscii) {  // storage.md §9.1
    std::string const source =
        "Content-Type: multipart/mixed; boundary=\"\xC3\xA4\"\r\n\r\n--\xC3\xA4\r\n\r\nx\r\n--\xC3\xA4--\r\n";
    auto const tree = make_tree(source);
    auto const document = tree.document();
    EXPECT_EQ(document.text("multipart"), "mixed");
    EXPECT_EQ(document.text("boundary"), "\xC3\xA4");
    EXPECT_EQ(document.find("childNodes"), nullptr);
    EXPECT_EQ(read_back(tree), source);
}

TEST(MimeTree, GivesBackEveryMessageOfTheCorpus) {
    std::size_t count = 0, exact = 0;
    for (auto const& entry : std::filesystem::directory_iterator(MALLARD_SOURCE_DIR "/tests/corpus/emails")) {
        if (entry.path().extension() != ".eml") continue;
        std::ifstream file(entry.path(), std::ios::binary);
        std::stringstream stream;
        stream << file.rdbuf();
        for (bool const crlf : {false, true}) {
            std::string source;
            for (char c : stream.str()) {
                if (crlf && c == '\n' && !source.ends_with('\r')) source += '\r';
                source += c;
            }
            auto const tree = make_tree(source);
            EXPECT_EQ(read_back(tree), source) << entry.path();
            ++count;
            exact += tree.exact;
        }
    }
    EXPECT_GT(count, 100u);
    EXPECT_GT(exact, count / 4);
}

TEST(MimeTree, GivesBackAnyBytes) {
    std::mt19937 random(11);
    std::string_view const words[] = {"\r\n",
                                      "\n",
                                      "\r",
                                      "--B",
                                      "--B--",
                                      "--C",
                                      "--C--",
                                      "a: b",
                                      " ",
                                      "x",
                                      "\xC3",
                                      std::string_view("\0", 1),
                                      "Content-Type: multipart/mixed; boundary=B\r\n\r\n",
                                      "Content-Type: multipart/mixed; boundary=C\r\n\r\n",
                                      "Content-Type: message/rfc822\r\n\r\n",
                                      "Content-Type: image/png\r\n\r\n"};
    for (int i = 0; i < 3'000; ++i) {
        std::string source;
        for (unsigned n = random() % 30; n > 0; --n) source += words[random() % std::size(words)];
        if (i % 10 == 0) source += std::string(2'000, 'x') + "\r\n--B--\r\n";
        auto const tree = make_tree(source);
        ASSERT_EQ(read_back(tree), source) << i;
    }
}

TEST(MimeTree, KeepsTheBodiesOutOfThePiecesThatItStores) {
    std::string const big(100'000, 'x');
    auto const tree = make_tree("Content-Type: multipart/mixed; boundary=B\n\n--B\nContent-Type: image/png\n\n" + big +
                                "\ny\n--B--\n");
    EXPECT_FALSE(tree.exact);
    EXPECT_LT(tree.literals.size(), 200u);
    ASSERT_EQ(tree.pieces.size(), 3u);
    EXPECT_TRUE(tree.pieces[1].bare_lf);
}

// A document holds 16 MB, and what stands outside of a multipart's parts stays in it.
TEST(MimeTree, StoresAMultipartLikeAFileWhereItsPreambleIsTooLong) {
    std::string text;
    while (text.size() < 2'000'000) text += std::string(76, 'x') + "\r\n";
    // WildDuck cuts parameters at every semicolon (storage.md §9.5), so it never meets this boundary.
    std::string const unmet =
        "Content-Type: multipart/mixed; boundary=\"a;b\"\r\n\r\n--a;b\r\n\r\n" + text + "--a;b--\r\n";
    std::string const inner =
        "Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\nContent-Type: multipart/mixed; "
        "boundary=i\r\n\r\n--i\r\nA: b\r\n\r\npart\r\n--i--\r\n" +
        text + "\r\n--o--\r\n";
    for (auto const& source : {unmet, inner}) {
        auto const tree = make_tree(source);
        EXPECT_TRUE(tree.exact);
        EXPECT_EQ(tree.size, source.size());
        ASSERT_EQ(tree.bodies.size(), 1u);
        EXPECT_LT(tree.document().encode().size(), 10'000u);
        EXPECT_EQ(read_back(tree), source);
    }
    auto const tree = make_tree(inner);
    auto const& leaf = *tree.root->children.at(0);
    EXPECT_FALSE(leaf.is_multipart);
    EXPECT_TRUE(leaf.children.empty());
    EXPECT_EQ(leaf.lines, static_cast<std::uint64_t>(std::ranges::count(tree.bodies[0].text.whole(), '\n')));
}

TEST(MimeTree, StaysLinearWhereItIsProvoked) {
    std::string const nested = "Content-Type: message/rfc822\r\n\r\n";
    std::string messages;
    for (int i = 0; i < 20'000; ++i) messages += nested;
    EXPECT_EQ(read_back(make_tree(messages)), messages);
    std::string headers;
    for (int i = 0; i < 200'000; ++i) headers += "a:\r\n";
    EXPECT_EQ(read_back(make_tree(headers)), headers);
    std::string const returns(1'000'000, '\r');
    EXPECT_EQ(read_back(make_tree(returns)), returns);
}

TEST(TreeHeader, ReadsParametersAsWildDuckDoes) {  // storage.md §9.5
    struct {
        std::string line;
        Document params;
    } const rows[] = {
        {"Content-Type: a/b; NAME=\"x y\"", {{"name", "x y"}}},
        {"Content-Type: a/b; name*0=foo; name*1=bar", {{"name", "foobar"}}},
        {"Content-Type: a/b; name*=utf-8''%C3%A4.pdf", {{"name", "=?UTF-8?Q?=C3=A4.pdf?="}}},
        {"Content-Type: a/b; name*0*=''a%20; name*1=b", {{"name", "=?ISO-8859-1?Q?a=20b?="}}},
    };
    for (auto const& row : rows) {
        auto const parsed = parse_tree_header({row.line});
        EXPECT_EQ(parsed.document("content-type")->find("params")->as<Document>()->encode(), row.params.encode())
            << row.line;
    }
}

TEST(TreeHeader, JoinsAddressesAndListsRepeatedFields) {
    auto const parsed =
        parse_tree_header({"To: =?utf-8?Q?A?= <a@x>", "Received: one\r\n two", "Received: three\r\n four", "To: b@x",
                           "no colon here", "In-Reply-To: <1>", "In-Reply-To: <2>"});
    EXPECT_EQ(*parsed.array("to"), (Array{Document{{"address", "a@x"}, {"name", "=?utf-8?Q?A?="}},
                                          Document{{"address", "b@x"}, {"name", ""}}}));
    EXPECT_EQ(*parsed.array("received"), (Array{"one\r\n two", "three four"}));
    EXPECT_EQ(parsed.text("in-reply-to"), "<2>");
    EXPECT_EQ(parsed.document("content-type")->text("value"), "text/plain");
}

TEST(BinaryString, KeepsEveryByte) {
    std::string all;
    for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
    EXPECT_EQ(from_binary_string(to_binary_string(all)), all);
    EXPECT_EQ(to_binary_string("\xC3"), "\xC3\x83");
}

}  // namespace
}  // namespace mallard::store::cluster
