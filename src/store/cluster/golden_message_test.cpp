// Messages of every shape as WildDuck's documents: the cases of golden/messages.txt, whose values follow from
// storage.md §9 to §11.
#include <gtest/gtest.h>

#include <fstream>

#include "mime/message.hpp"
#include "store/bson_text.hpp"
#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

struct Case {
    std::string name, source;
    std::vector<std::pair<std::string, std::string>> fields;
};

std::string unescaped(std::string_view line) {
    std::string out;
    for (std::size_t i = 0; i < line.size(); ++i) {
        if (line[i] != '\\') {
            out += line[i];
            continue;
        }
        switch (char const c = line[++i]) {
            case 'r': out += '\r'; break;
            case 'n': out += '\n'; break;
            case 'x':
                out += static_cast<char>(std::stoi(std::string(line.substr(i + 1, 2)), nullptr, 16));
                i += 2;
                break;
            default: out += c;
        }
    }
    return out;
}

// "## name", lines of the source ("> ..."), then "field: value" of the document.
std::vector<Case> cases() {
    std::vector<Case> all;
    std::ifstream file(MALLARD_SOURCE_DIR "/src/store/cluster/golden/messages.txt");
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.starts_with("# ")) continue;
        if (line.starts_with("## ")) {
            all.push_back({.name = line.substr(3)});
        } else if (line.starts_with("> ")) {
            all.back().source += unescaped(line.substr(2));
        } else {
            auto const colon = line.find(": ");
            all.back().fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
        }
    }
    return all;
}

bson::Document document_of(std::string const& source) {
    auto const parsed = mime::parse(source);
    NewMessage message{.source = source, .tree = &parsed, .internal_date = 1'704'103'200'123};
    message.record.header_date = 1'704'103'200'000;
    return message_document(message, make_tree(source), 7);
}

TEST(GoldenMessages, HaveTheFieldsThatTheFactsGive) {
    auto const all = cases();
    ASSERT_GT(all.size(), 20u);
    for (auto const& one : all) {
        bson::Document const document = document_of(one.source);
        ASSERT_GE(one.fields.size(), 8u) << one.name;
        for (auto const& [key, expected] : one.fields) {
            auto const* value = document.find(key);
            EXPECT_EQ(value == nullptr ? "absent" : bson::to_text(*value), expected) << one.name << ": " << key;
        }
    }
}

TEST(GoldenMessages, CutTextsWhereTheFactsSay) {  // storage.md §11.2
    std::string const text(2'000, 'a'), wide(1'500, 'b');
    auto const document =
        document_of("Content-Type: text/plain; charset=utf-8\r\n\r\n" + text + "\r\n\xF0\x9F\xA6\x86" + wide);
    EXPECT_EQ(document.text("text"), std::string(1'024, 'a'));
    EXPECT_EQ(document.text("textFooter"), std::string(976, 'a') + "\n\xF0\x9F\xA6\x86" + wide);
    auto const cut = document_of("Content-Type: text/plain; charset=utf-8\r\n\r\n" + std::string(1'023, 'a') +
                                 "\xF0\x9F\xA6\x86" + std::string(110'000, 'c'));
    EXPECT_EQ(cut.text("text"), std::string(1'023, 'a'));  // half of a pair does not fit
    EXPECT_EQ(cut.text("textFooter").size(), 4 + 101'376u - 2);
}

TEST(GoldenMessages, CutSearchableHeadersWhereTheFactsSay) {
    std::string const value(900, 'v');
    auto const document = document_of("Subject: " + value + "\r\nTo: " + std::string(879, 't') + "\r\n\r\n");
    auto const& headers = *document.array("headers");
    EXPECT_EQ(headers[0].as<bson::Document>()->text("value"), std::string(876, 'v'));
    EXPECT_EQ(headers[1].as<bson::Document>()->text("value"), std::string(879, 't'));
}

TEST(GoldenMessages, MoveLargeTextOutUnlisted) {  // storage.md §10.1
    std::string body;
    while (body.size() <= 300 * 1024) body += std::string(70, 'x') + "\r\n";
    std::string const source = "Subject: large\r\n\r\n" + body;
    auto const tree = make_tree(source);
    auto const document = document_of(source);
    EXPECT_EQ(document.find_path("mimeTree.attachmentId")->as<std::string>()->substr(0), "ATT00001");
    EXPECT_EQ(bson::to_text(*document.find_path("mimeTree.body")), "false");
    EXPECT_EQ(document.find("attachments"), nullptr);
    EXPECT_EQ(bson::to_text(*document.find("ha")), "false");
    ASSERT_EQ(tree.bodies.size(), 1u);
    EXPECT_EQ(tree.bodies[0].content_type, "text/plain");
}

}  // namespace

}  // namespace mallard::store::cluster
