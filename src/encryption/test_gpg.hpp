#pragma once
// gpg with keys of its own, as the client that reads what was encrypted.

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>

namespace mallard::encryption {

class Gpg {
public:
    Gpg() {
        std::string pattern = (std::filesystem::temp_directory_path() / "gpg-XXXXXX").string();
        home_ = ::mkdtemp(pattern.data());
    }
    ~Gpg() {
        run("gpgconf --homedir " + home_ + " --kill all 2>&1");
        std::filesystem::remove_all(home_);
    }
    Gpg(Gpg const&) = delete;

    // A key as gpg makes it ("rsa2048", "future-default", ...); its public half, armored.
    std::string make_key(std::string const& user_id, std::string const& kind, std::string const& usage = "default",
                         std::string const& expires = "never", std::string const& more = {}) {
        gpg(more + " --passphrase '' --quick-generate-key '" + user_id + "' " + kind + " " + usage + " " + expires);
        return exported(user_id);
    }
    std::string exported(std::string const& user_id) { return gpg("--armor --export '" + user_id + "'"); }
    void revoke(std::string const& fingerprint) {
        auto const path = home_ + "/openpgp-revocs.d/" + fingerprint + ".rev";
        std::ifstream in(path);
        std::string text{std::istreambuf_iterator<char>(in), {}};
        text.erase(text.find(":-----BEGIN"), 1);  // the guard against using it by mistake
        std::ofstream(path) << text;
        gpg("--import " + path);
    }
    std::string decrypted(std::string_view message) {
        auto const path = home_ + "/message.asc";
        std::ofstream(path, std::ios::binary) << message;
        return gpg("--decrypt " + path);
    }

private:
    std::string gpg(std::string const& arguments) {
        return run("gpg --homedir " + home_ + " --batch --quiet --no-tty --trust-model always " + arguments + " 2>>" +
                   home_ + "/log");
    }
    // What it writes.
    static std::string run(std::string const& command) {
        std::string out;
        FILE* const pipe = ::popen(command.c_str(), "r");
        std::array<char, 65536> piece{};
        while (auto const n = std::fread(piece.data(), 1, piece.size(), pipe)) out.append(piece.data(), n);
        EXPECT_EQ(::pclose(pipe), 0) << command;
        return out;
    }

    std::string home_;
};

}  // namespace mallard::encryption
