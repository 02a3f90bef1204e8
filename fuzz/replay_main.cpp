// Runs a fuzz target over every file of a corpus, and over deterministic mutations of them: what ctest runs in builds
// without libFuzzer.
//   replay CORPUS-DIRECTORY [MUTATIONS]

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

namespace {

constexpr std::size_t mutations_default = 3000;
constexpr std::size_t input_bytes_max = 64 * 1024;

std::string current;  // what is running, for the report of a crash

void report(int signal) {
    std::fprintf(stderr, "failed on %s\n", current.c_str());
    std::signal(signal, SIG_DFL);
    std::raise(signal);
}

void run(std::string const& input) {
    LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(input.data()), input.size());
}

std::string mutate(std::string input, std::vector<std::string> const& seeds, std::mt19937_64& random) {
    constexpr std::array<std::string_view, 14> tokens{
        "\r\n", "\n", "\r", std::string_view("\0", 1), "\"", "(", ")", "<", ":", ";", "=?", "?=", "--", "\xFF"};
    for (std::size_t count = 1 + random() % 4; count > 0; --count) {
        std::size_t const at = input.empty() ? 0 : random() % input.size();
        switch (random() % 6) {
            case 0: input.insert(at, tokens[random() % tokens.size()]); break;
            case 1: input.erase(at, 1 + random() % 16); break;
            case 2: input.insert(at, input.substr(at, 1 + random() % 64)); break;
            case 3: input.resize(at); break;
            case 4: input.insert(at, seeds[random() % seeds.size()].substr(0, 1 + random() % 256)); break;
            default:
                if (!input.empty()) input[at] = static_cast<char>(random());
        }
    }
    if (input.size() > input_bytes_max) input.resize(input_bytes_max);
    return input;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s CORPUS-DIRECTORY [MUTATIONS]\n", argv[0]);
        return 2;
    }
    std::signal(SIGABRT, report);
    std::vector<std::string> names, seeds;
    std::error_code error;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(argv[1], error))
        if (entry.is_regular_file()) names.push_back(entry.path());
    std::ranges::sort(names);
    for (std::string const& name : names) {
        std::ifstream file(name, std::ios::binary);
        seeds.emplace_back((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
        current = name;
        run(seeds.back());
    }
    if (seeds.empty()) {
        std::fprintf(stderr, "no corpus in %s\n", argv[1]);
        return 1;
    }
    std::size_t const mutations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : mutations_default;
    for (std::size_t i = 0; i < mutations; ++i) {
        std::mt19937_64 random(i);  // each by itself, so that a failure can be run alone
        std::size_t const seed = i % seeds.size();
        current = names[seed] + ", mutation " + std::to_string(i);
        run(mutate(seeds[seed], seeds, random));
    }
    std::printf("%zu inputs and %zu mutations\n", seeds.size(), mutations);
    return 0;
}
