#pragma once
// Random messages for tests of byte equality: MIME trees of any shape and of any damage.

#include <cstdint>
#include <random>
#include <string>

namespace mallard::test {

struct RandomMimeOptions {
    unsigned depth_max = 8;
    unsigned children_max = 4;         // per multipart
    std::size_t leaf_bytes_max = 600;  // before transfer encoding
    bool damage = true;                // missing ends, NUL, bare CR and LF, 8-bit where it is not announced
};

// The same seed gives the same bytes, on every machine.
class RandomMime {
public:
    explicit RandomMime(std::uint64_t seed, RandomMimeOptions options = {}) : random_(seed), options_(options) {}
    std::string message();

private:
    unsigned below(unsigned limit) { return static_cast<unsigned>(random_() % limit); }  // [0, limit)
    bool chance(unsigned percent) { return below(100) < percent; }
    template <class List>
    auto const& pick(List const& list) {
        return list[below(static_cast<unsigned>(std::size(list)))];
    }
    std::string word();
    std::string value();
    std::string bytes(std::size_t size);
    std::string text(std::size_t size);
    std::string boundary();
    std::string fields(bool top);
    std::string entity(unsigned depth, bool top);
    std::string multipart(unsigned depth);
    std::string leaf();
    std::string damaged(std::string source);

    std::mt19937_64 random_;
    RandomMimeOptions options_;
    std::string line_end_ = "\r\n";
    std::string last_boundary_ = "b";
};

}  // namespace mallard::test
