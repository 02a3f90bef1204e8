#include "transcripts/runner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <vector>

#include "base/encoding.hpp"

namespace mallard::transcripts {

namespace {

std::string unescape(std::string_view text, bool& line_end) {
    std::string out;
    line_end = true;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            out += text[i];
            continue;
        }
        switch (text[++i]) {
            case 'r': out += '\r'; break;
            case 'n': out += '\n'; break;
            case 't': out += '\t'; break;
            case '0': out += '\0'; break;
            case 'c': line_end = false; break;
            case 'x':
                if (auto const byte = hex_decode(text.substr(i + 1, 2)); byte) out += *byte;
                i += 2;
                break;
            default: out += text[i];
        }
    }
    return out;
}

std::string visible(std::string_view bytes) {
    std::string out;
    for (char c : bytes) {
        if (c == '\r')
            out += "\\r";
        else if (c == '\n')
            out += "\\n";
        else if (c == '\0')
            out += "\\0";
        else
            out += c;
    }
    return out;
}

bool is_id(std::string_view text) {
    return text.size() == 24 &&
           std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// `pattern` with <any> and <id> against a whole line.
bool matches(std::string_view pattern, std::string_view line) {
    std::size_t const any = pattern.find("<any>");
    std::size_t const id = pattern.find("<id>");
    std::size_t const first = std::min(any, id);
    if (first == pattern.npos) return pattern == line;
    if (pattern.substr(0, first) != line.substr(0, first)) return false;
    line.remove_prefix(first);
    if (first == id)
        return line.size() >= 24 && is_id(line.substr(0, 24)) && matches(pattern.substr(id + 4), line.substr(24));
    for (std::size_t length = 0; length <= line.size(); ++length)
        if (matches(pattern.substr(any + 5), line.substr(length))) return true;
    return false;
}

class Run {
public:
    Run(std::string file, Adapter& adapter) : file_(std::move(file)), adapter_(adapter) {}

    void all() {
        std::ifstream in(file_, std::ios::binary);
        ASSERT_TRUE(in) << file_;
        for (std::string line; std::getline(in, line) && !failed_;) {
            ++number_;
            if (!line.empty() && line[0] != '#') one(line);
        }
        send_pending();
        for (auto& [session, said] : said_) {
            if (session != 0 && !failed_) said += adapter_.send_to(session, {});
            if (!failed_ && !said.empty()) wrong("the server said more: " + visible(said));
        }
    }

private:
    void wrong(std::string const& what) {
        failed_ = true;
        ADD_FAILURE_AT(file_.c_str(), number_) << what;
    }

    void greet(int session, bool compare) {
        if (said_.contains(session)) return;
        std::string greeting = adapter_.send_to(session, {});
        said_[session] = compare ? std::move(greeting) : std::string();
    }

    void send_pending() {
        if (pending_.empty()) return;
        if (!said_[session_].empty()) return wrong("the server had said more: " + visible(said_[session_]));
        said_[session_] = adapter_.send_to(session_, std::exchange(pending_, {}));
    }

    void one(std::string_view line) {
        int session = 0;
        std::size_t colon = 1;
        if (line.size() > 2 && (line[0] == 'C' || line[0] == 'S') && line[1] >= '1' && line[1] <= '9' &&
            line[2] == ':') {
            session = line[1] - '0';
            colon = 2;
        }
        std::string_view const text = line.size() > colon && line[colon] == ':'
                                          ? line.substr(std::min<std::size_t>(colon + 2, line.size()))
                                          : line.substr(1);
        if (line[0] == 'C' && line.substr(colon).starts_with(':')) {
            if (session != session_) send_pending();
            session_ = session;
            greet(session, false);  // a transcript that begins with the client takes any greeting
            bool line_end = true;
            pending_ += unescape(text, line_end);
            if (line_end) pending_ += "\r\n";
            return;
        }
        if (line.starts_with("!")) {
            if (auto problem = adapter_.prepare(trim(text)); !problem.empty()) wrong(problem);
            return;
        }
        send_pending();
        if (line.starts_with("=")) {
            if (auto difference = adapter_.check(trim(text)); !difference.empty()) wrong(difference);
        } else if (line[0] == 'S' && line.substr(colon).starts_with(':')) {
            greet(session, true);
            expect(session, text);
        } else {
            wrong("a line begins with C: S: ! = or #");
        }
    }

    void expect(int session, std::string_view text) {
        if (failed_) return;
        bool ignored = false;
        std::string const pattern = unescape(text, ignored);
        std::string& said = said_[session];
        if (said.empty() && session != 0) said = adapter_.send_to(session, {});  // said without being asked
        std::size_t const end = said.find("\r\n");
        if (end == said.npos) return wrong("the server said nothing more; expected: " + visible(pattern));
        std::string const line = said.substr(0, end);
        said.erase(0, end + 2);
        if (!matches(pattern, line))
            wrong("the server said: " + visible(line) + "\n        expected: " + visible(pattern));
    }

    std::string file_;
    Adapter& adapter_;
    int number_ = 0;
    bool failed_ = false;
    int session_ = 0;
    std::string pending_;              // of the client, not sent yet
    std::map<int, std::string> said_;  // by the server in each session, not compared yet
};

class FileTest : public testing::Test {
public:
    FileTest(std::string file, std::unique_ptr<Adapter> (*make)()) : file_(std::move(file)), make_(make) {}
    void TestBody() override {
        auto adapter = make_();
        run(file_, *adapter);
    }

private:
    std::string file_;
    std::unique_ptr<Adapter> (*make_)();
};

}  // namespace

void run(std::string const& file, Adapter& adapter) { Run(file, adapter).all(); }

void register_folder(std::string const& suite, std::string const& folder, std::unique_ptr<Adapter> (*make)()) {
    std::vector<std::filesystem::path> files;
    for (auto const& entry :
         std::filesystem::directory_iterator(std::string(MALLARD_SOURCE_DIR "/tests/transcripts/") + folder))
        if (entry.path().extension() == ".txt") files.push_back(entry.path());
    std::ranges::sort(files);
    for (auto const& file : files)
        testing::RegisterTest(suite.c_str(), file.stem().c_str(), nullptr, nullptr, file.c_str(), 1,
                              [file, make]() -> testing::Test* { return new FileTest(file.string(), make); });
}

}  // namespace mallard::transcripts
