#include "store/cluster/tree_structure.hpp"

#include <gtest/gtest.h>

namespace mallard::store::cluster {
namespace {

using bson::Array;
using bson::Binary;
using bson::Document;
using bson::Null;

TEST(TreeStructure, WritesTheWorkedExample) {  // storage.md §11.9
    auto const tree = make_tree(
        "From: Ann <ann@example.com>\r\nTo: bob@example.org\r\nSubject: Hi\r\n"
        "Date: Mon, 01 Jan 2024 10:00:00 +0000\r\nMessage-ID: <m1@example.com>\r\n"
        "Content-Type: multipart/mixed; boundary=B1\r\n\r\n"
        "--B1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nHello\r\n"
        "--B1\r\nContent-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--B1--\r\n");
    Array const ann(1, Array{Binary{"Ann"}, Null{}, Binary{"ann"}, Binary{"example.com"}});
    Array const bob(1, Array{Null{}, Null{}, Binary{"bob"}, Binary{"example.org"}});
    EXPECT_EQ(envelope_array(*tree.root), (Array{"Mon, 01 Jan 2024 10:00:00 +0000", Binary{"Hi"}, ann, ann, ann, bob,
                                                 Null{}, Null{}, Null{}, "<m1@example.com>"}));
    Array const text{"TEXT", "PLAIN", Array{"CHARSET", Binary{"utf-8"}}, Null{}, Null{}, "7BIT", 5, 0, Null{}, Null{},
                     Null{}, Null{}};
    Array const file{"APPLICATION",
                     "PDF",
                     Null{},
                     Null{},
                     Null{},
                     "BASE64",
                     8,
                     Null{},
                     Array{"ATTACHMENT", Array{"FILENAME", Binary{"a.pdf"}}},
                     Null{},
                     Null{}};
    EXPECT_EQ(bodystructure_array(*tree.root),
              (Array{text, file, "MIXED", Array{"BOUNDARY", Binary{"B1"}}, Null{}, Null{}, Null{}}));
    EXPECT_EQ(searchable_headers(*tree.root), (Array{Document{{"key", "from"}, {"value", "ann <ann@example.com>"}},
                                                     Document{{"key", "to"}, {"value", "bob@example.org"}},
                                                     Document{{"key", "subject"}, {"value", "hi"}},
                                                     Document{{"key", "message-id"}, {"value", "<m1@example.com>"}}}));
}

TEST(TreeStructure, ShowsAnEmbeddedMessage) {
    auto const tree = make_tree("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nx\r\n");
    auto const structure = bodystructure_array(*tree.root);
    ASSERT_EQ(structure.size(), 14u);
    EXPECT_EQ((*structure[7].as<Array>())[1], bson::Value(Binary{"in"}));
    EXPECT_EQ((*structure[8].as<Array>())[0], bson::Value("TEXT"));
    EXPECT_EQ(structure[9], bson::Value(3));
}

TEST(TreeStructure, OpensAndClosesGroups) {
    auto const tree = make_tree("To: Team: a@x, b@y;\r\n\r\n");
    auto const envelope = envelope_array(*tree.root);
    auto const& to = *envelope[5].as<Array>();
    ASSERT_EQ(to.size(), 4u);
    EXPECT_EQ(to[0], bson::Value(Array{Null{}, Null{}, Binary{"Team"}, Null{}}));
    EXPECT_EQ(to[3], bson::Value(Array{Null{}, Null{}, Null{}, Null{}}));
}

}  // namespace
}  // namespace mallard::store::cluster
