#include "store/embedded/codec.hpp"

namespace mallard::store::embedded {

void put_column(std::string& out, std::span<std::uint64_t const> values) {
    std::size_t changes = 0;
    for (std::size_t i = 1; i < values.size(); ++i) changes += values[i] != values[i - 1];
    if (values.empty() || (changes + 1) * 2 > values.size()) {
        out.push_back(static_cast<char>(ColumnForm::plain));
        for (auto v : values) put_varint(out, v);
        return;
    }
    out.push_back(static_cast<char>(ColumnForm::runs));
    for (std::size_t i = 0; i < values.size();) {
        std::size_t end = i + 1;
        while (end < values.size() && values[end] == values[i]) ++end;
        put_varint(out, end - i);
        put_varint(out, values[i]);
        i = end;
    }
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
    std::uint64_t number = 0;
    auto const set = [&](std::size_t i, std::uint64_t step) {
        numbers[i] = number += static_cast<std::uint64_t>(unzigzag(step));
    };
    if (!get_column(in, count, set)) return {};
    return numbers;
}

}  // namespace mallard::store::embedded
