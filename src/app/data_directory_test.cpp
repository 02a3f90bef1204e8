#include "app/data_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/random.hpp"

namespace mallard::app {
namespace {

std::string fresh_path() { return testing::TempDir() + "data_" + random_hex(6); }

unsigned mode_of(std::string const& path) {
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 ? info.st_mode & 0777u : 0;
}

TEST(DataDirectory, IsMadeForItsOwnerOnly) {
    std::string const path = fresh_path() + "/below";
    auto const directory = DataDirectory::open(path);
    ASSERT_TRUE(directory) << directory.error().message;
    EXPECT_EQ(mode_of(path), 0700u);
}

TEST(DataDirectory, IsHeldByOneAtATime) {
    auto const directory = DataDirectory::open(fresh_path());
    ASSERT_TRUE(directory);
    {
        auto const first = directory->lock("serve");
        ASSERT_TRUE(first);
        auto const second = directory->lock("check");
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().kind, ErrorKind::conflict);
        EXPECT_NE(second.error().message.find("serve, process"), std::string::npos) << second.error().message;
    }
    EXPECT_TRUE(directory->lock("check"));
}

TEST(DataDirectory, WritesPrivateFilesWholeAndForItsOwnerOnly) {
    auto const directory = DataDirectory::open(fresh_path());
    ASSERT_TRUE(directory);
    EXPECT_FALSE(directory->read("token"));
    ASSERT_TRUE(directory->write_private("token", "first\n"));
    ASSERT_TRUE(directory->write_private("token", "second\n"));
    EXPECT_EQ(directory->read("token"), "second");
    EXPECT_EQ(mode_of(directory->file("token")), 0600u);
}

TEST(DataDirectory, SaysWhatToDoWhenItCannotBeUsed) {
    auto const directory = DataDirectory::open("/proc/nowhere/data");
    ASSERT_FALSE(directory);
    EXPECT_NE(directory.error().message.find("--data"), std::string::npos) << directory.error().message;
    auto const file = DataDirectory::open("/etc/passwd");
    ASSERT_FALSE(file);
    EXPECT_NE(file.error().message.find("no directory"), std::string::npos);
}

}  // namespace
}  // namespace mallard::app
