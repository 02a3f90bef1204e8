#include "app/import_source.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/random.hpp"

namespace mallard::app {
namespace {

namespace fs = std::filesystem;

class Import : public testing::Test {
protected:
    void SetUp() override {
        root_ = fs::path(testing::TempDir()) / ("import_" + random_hex(6));
        fs::create_directories(root_);
    }
    void TearDown() override { fs::remove_all(root_); }
    void write(std::string const& name, std::string_view content) {
        fs::create_directories((root_ / name).parent_path());
        std::ofstream(root_ / name, std::ios::binary) << content;
    }
    std::vector<ImportMessage> read(ImportFolder const& folder) {
        std::vector<ImportMessage> out;
        auto const done = read_folder(
            folder,
            [&](ImportMessage message) {
                out.push_back(std::move(message));
                return true;
            },
            [&](std::string const& file) { skipped_.push_back(file); });
        EXPECT_TRUE(done);
        return out;
    }
    fs::path root_;
    std::vector<std::string> skipped_;
};

TEST_F(Import, ReadsAMaildirWithItsFlagsAndSubfolders) {
    write("cur/1.a:2,FRS", "Subject: a\n\nx\n");
    write("new/2.b", "Subject: b\r\n\r\ny\r\n");
    write(".Sent.2020/cur/3.c:2,S", "c\n");
    fs::create_directories(root_ / ".Sent.2020/new");
    write("Lists/cur/4.d", "d\n");
    fs::create_directories(root_ / "Lists/new");
    auto const source = open_import(root_.string());
    ASSERT_TRUE(source) << source.error().message;
    ASSERT_EQ(source->folders.size(), 3u);
    EXPECT_EQ(source->folders[0].mailbox, "");
    EXPECT_EQ(source->folders[0].messages, 2u);
    EXPECT_EQ(source->folders[1].mailbox, "Sent/2020");
    EXPECT_EQ(source->folders[2].mailbox, "Lists");
    auto const messages = read(source->folders[0]);
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(messages[0].bytes, "Subject: a\r\n\r\nx\r\n");
    EXPECT_EQ(messages[0].flags.system, store::flagged | store::answered | store::seen);
    EXPECT_GT(messages[0].date, 0);
    EXPECT_EQ(messages[1].bytes, "Subject: b\r\n\r\ny\r\n");
    EXPECT_EQ(messages[1].flags.system, 0);
}

TEST_F(Import, ReadsAnMboxAndUndoesItsQuoting) {
    write("mbox",
          "From joe@example.com Thu Jan  1 10:00:00 2026\nSubject: one\nStatus: RO\nX-Status: AF\n\n"
          ">From the start\n>>From twice\n\nFrom is no separator here\n\n"
          "From MAILER-DAEMON Fri Jan  2 11:12:13 2026\nSubject: two\n\nlast\n");
    auto const source = open_import((root_ / "mbox").string());
    ASSERT_TRUE(source);
    ASSERT_EQ(source->kind, SourceKind::mbox);
    EXPECT_EQ(source->folders[0].messages, 2u);
    auto const messages = read(source->folders[0]);
    ASSERT_EQ(messages.size(), 2u);
    EXPECT_EQ(
        messages[0].bytes,
        "Subject: one\r\nStatus: RO\r\nX-Status: AF\r\n\r\nFrom the start\r\n>From twice\r\n\r\nFrom is no separator "
        "here\r\n");
    EXPECT_EQ(messages[0].flags.system, store::seen | store::answered | store::flagged);
    EXPECT_EQ(messages[0].date, 1767261600000);
    EXPECT_EQ(messages[1].bytes, "Subject: two\r\n\r\nlast\r\n");
    EXPECT_EQ(messages[1].date, 1767352333000);
}

TEST_F(Import, ReadsEmlFilesAndFoldersOfThem) {
    write("a.eml", "Subject: a\n\n");
    write("sub%2Edir/b.eml", "Subject: b\n\n");
    write("notes.pdf", "no mail");
    auto const one = open_import((root_ / "a.eml").string());
    ASSERT_TRUE(one);
    EXPECT_EQ(one->kind, SourceKind::eml);
    auto const all = open_import(root_.string());
    ASSERT_TRUE(all);
    ASSERT_EQ(all->folders.size(), 2u);
    EXPECT_EQ(all->folders[0].messages, 1u);
    EXPECT_EQ(all->folders[1].mailbox, "sub.dir");
}

TEST_F(Import, SkipsAFileThatVanishedAndGoesOn) {
    write("a.eml", "a\n");
    write("b.eml", "b\n");
    auto const source = open_import(root_.string());
    ASSERT_TRUE(source);
    fs::remove(root_ / "a.eml");
    EXPECT_EQ(read(source->folders[0]).size(), 1u);
    EXPECT_EQ(skipped_.size(), 1u);
}

TEST_F(Import, RefusesWhatHoldsNoMail) {
    EXPECT_EQ(open_import((root_ / "nothing").string()).error().kind, ErrorKind::not_found);
    EXPECT_EQ(open_import(root_.string()).error().kind, ErrorKind::invalid);
}

TEST(MboxFromLine, IsRecognisedInItsManyForms) {
    for (std::string_view good : {"From joe Thu Jan  1 10:00:00 2026", "From a b c Thu Jan  1 10:00:00 2026",
                                  "From joe Thu Jan  1 10:00 2026\n", "From joe Thu Jan  1 10:00:00 UTC 2026",
                                  "From joe Thu Jan  1 10:00:00 2026 +0100\r\n", "From  Thu Jan 01 10:00:00 2026"})
        EXPECT_EQ(mbox_from_date(good), 1767261600000) << good;
    for (std::string_view bad :
         {"From here on", "from joe Thu Jan  1 10:00:00 2026", "From joe Thu Foo  1 10:00:00 2026",
          "From joe Thu Jan  1 10:00:00", "From ", "From: joe@example.com"})
        EXPECT_FALSE(is_mbox_from_line(bad)) << bad;
}

TEST(LineEnds, AreMadeCrlfOnlyWhereThereIsNone) {
    EXPECT_EQ(with_crlf("a\nb\n"), "a\r\nb\r\n");
    EXPECT_EQ(with_crlf("a\r\nb\nc"), "a\r\nb\nc");
    EXPECT_EQ(with_crlf("no end"), "no end");
    EXPECT_EQ(with_crlf(""), "");
}

TEST(FileNames, ComeBackAsTheMailboxesTheyStoodFor) {
    for (std::string_view path : {"Sent", "a.b", "..", "100%", "Größe/Ünï", "a:b\\c", "%2E"}) {
        EXPECT_EQ(unsafe_name(safe_file_name(path)), path);
        EXPECT_EQ(maildir_folder(maildir_directory(path)), path);
        EXPECT_EQ(safe_file_name(path).find(".."), std::string::npos);
    }
}

TEST(MaildirFlags, AreReadFromTheEndOfTheName) {
    EXPECT_EQ(maildir_flags("1.host:2,DT").system, store::draft | store::deleted);
    EXPECT_EQ(maildir_flags("1.host:2,P").keywords, (std::vector<std::string>{"$Forwarded"}));
    EXPECT_EQ(maildir_flags("1.host"), store::Flags{});
    EXPECT_EQ(maildir_flags("1.host:1,S"), store::Flags{});
}

}  // namespace
}  // namespace mallard::app
