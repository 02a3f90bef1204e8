#include "store/embedded/codec.hpp"

#include <algorithm>

namespace mallard::store::embedded {

namespace {
enum ColumnForm : std::uint8_t { plain = 0, runs = 1 };
}

void put_column(std::string& out, std::span<std::uint64_t const> values) {
    std::size_t changes = 0;
    for (std::size_t i = 1; i < values.size(); ++i) changes += values[i] != values[i - 1];
    if (values.empty() || (changes + 1) * 2 > values.size()) {
        out.push_back(plain);
        for (auto v : values) put_varint(out, v);
        return;
    }
    out.push_back(runs);
    for (std::size_t i = 0; i < values.size();) {
        std::size_t end = i + 1;
        while (end < values.size() && values[end] == values[i]) ++end;
        put_varint(out, end - i);
        put_varint(out, values[i]);
        i = end;
    }
}

bool get_column(ByteReader& in, std::span<std::uint64_t> values) {
    std::uint8_t const form = in.byte();
    if (form == plain) {
        for (auto& v : values) v = in.varint();
        return in.ok();
    }
    if (form != runs) return false;
    for (std::size_t i = 0; i < values.size();) {
        std::uint64_t const count = in.varint();
        std::uint64_t const value = in.varint();
        if (!in.ok() || count == 0 || count > values.size() - i) return false;
        std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(i), count, value);
        i += count;
    }
    return in.ok();
}

void put_numbers(std::string& out, std::span<std::uint64_t const> numbers) {
    put_varint(out, numbers.size());
    std::vector<std::uint64_t> steps(numbers.size());
    std::uint64_t previous = 0;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
        steps[i] = zigzag(static_cast<std::int64_t>(numbers[i] - previous));
        previous = numbers[i];
    }
    put_column(out, steps);
}

std::vector<std::uint64_t> get_numbers(ByteReader& in) {
    std::uint64_t const count = in.varint();
    if (!in.ok() || count > packed_numbers_max) return {};
    std::vector<std::uint64_t> numbers(count);
    if (!get_column(in, numbers)) return {};
    std::uint64_t previous = 0;
    for (auto& n : numbers) n = previous += static_cast<std::uint64_t>(unzigzag(n));
    return numbers;
}

}  // namespace mallard::store::embedded
