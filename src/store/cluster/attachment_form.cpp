// How a body lies in the store (storage.md §10.3). Pure.
#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "store/cluster/attachments.hpp"

namespace mallard::store::cluster {

namespace {

constexpr std::size_t usual_line = 76, line_max = 998;

// The value of a character of base64; -1: '=', -2: none.
constexpr auto values = [] {
    std::array<signed char, 256> out{};
    out.fill(-2);
    std::string_view const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (std::size_t i = 0; i < alphabet.size(); ++i)
        out[static_cast<unsigned char>(alphabet[i])] = static_cast<signed char>(i);
    out['='] = -1;
    return out;
}();

int value_of(char c) { return values[static_cast<unsigned char>(c)]; }

// Watches base64 go by: could it be made again from what it stands for? That is: lines of one length but for the last,
// padding at the end only, nothing in the bits that padding leaves over.
class Base64Watch {
public:
    void take(std::string_view text) {
        for (char c : text) {
            if (!sound_) return;
            if (c == '\r' || c == '\n')
                take_line_end(c);
            else
                take_character(c);
        }
    }

    // But for the line ends that follow it.
    bool is_sound() const {
        if (!sound_ || after_cr_ || column_ == 0 || characters_ % 4 != 0 || padding_ > 2) return false;
        if (padding_ == 1 && (last_ & 3) != 0) return false;
        if (padding_ == 2 && (last_ & 15) != 0) return false;
        return lines_ == 1 || column_ <= length_;
    }
    bool ends_in_line_end() const { return ends_ > 0; }
    bool has_lines_of(std::size_t length) const { return lines_ > 1 ? length_ == length : column_ <= length; }
    std::size_t decoded_size() const { return characters_ / 4 * 3 - padding_; }

    // The length of the lines to store with it; 0: it is stored as it is.
    std::size_t line_length() const {
        if (!is_sound() || ends_in_line_end()) return 0;
        if (lines_ > 1) return length_;
        // A single line that is full gets a line end from WildDuck's encoder (§10.3), so it is never said to be full.
        std::size_t const single = std::max(usual_line, column_ + 1);
        return single <= line_max ? single : 0;
    }

private:
    void take_line_end(char c) {
        sound_ = c == '\r' ? !after_cr_ : after_cr_;
        after_cr_ = c == '\r';
        if (c == '\n') ++ends_;
    }
    void begin_line() {
        if (lines_ == 1) length_ = column_;
        sound_ = ends_ == 1 && column_ > 0 && column_ == length_ && length_ <= line_max;
        ends_ = column_ = 0;
        ++lines_;
    }
    void take_character(char c) {
        if (ends_ > 0) begin_line();
        int const value = value_of(c);
        sound_ = sound_ && !after_cr_ && value > -2 && (padding_ == 0 || value == -1);
        if (value == -1)
            ++padding_;
        else
            last_ = value;
        ++column_;
        ++characters_;
    }

    bool sound_ = true, after_cr_ = false;
    std::size_t column_ = 0, length_ = 0, lines_ = 1, characters_ = 0, padding_ = 0;
    std::size_t ends_ = 0;  // line ends since the last character
    int last_ = 0;
};

Base64Watch watched(StoredBody const& body) {
    Base64Watch watch;
    body.text.for_each([&](std::string_view piece) { watch.take(piece); });
    return watch;
}

}  // namespace

std::string encode_lines(std::string_view bytes, std::size_t line_length) {
    std::string const flat = base64_encode(bytes);
    if (line_length == 0) return flat;
    std::string out;
    out.reserve(flat.size() + flat.size() / line_length * 2);
    for (std::size_t at = 0; at < flat.size(); at += line_length) {
        if (at > 0) out += "\r\n";
        out.append(flat, at, line_length);
    }
    return out;
}

StoredForm stored_form(StoredBody const& body) {
    if (body.transfer_encoding != "base64") return {};
    std::size_t const length = watched(body).line_length();
    return {.decoded = length > 0, .line_length = length};
}

bool gives_back(EncodedShape const& stored, StoredBody const& body) {
    if (stored.size() != body.text.size) return false;
    if (!stored.decoded) return true;
    auto const watch = watched(body);
    // The line ends at the end are made up for, by their number.
    return watch.is_sound() && watch.has_lines_of(stored.line_length) && watch.decoded_size() == stored.length;
}

void StoredBytes::take(std::string_view piece, std::string& out) {
    if (!decoded_) {
        out.append(piece);
        return;
    }
    for (char c : piece) {
        int const value = value_of(c);
        if (value < 0) continue;
        bits_ = bits_ << 6 | static_cast<unsigned>(value);
        bit_count_ += 6;
        if (bit_count_ < 8) continue;
        bit_count_ -= 8;
        out.push_back(static_cast<char>(bits_ >> bit_count_ & 0xFF));
    }
}

std::uint64_t EncodedShape::natural_size() const {
    if (!decoded) return length;
    std::uint64_t const characters = (length + 2) / 3 * 4;
    return characters == 0 ? 0 : characters + (characters - 1) / line_length * 2;
}

std::uint64_t EncodedShape::size() const { return decoded && encoded_size > 0 ? encoded_size : natural_size(); }

EncodedShape::Range EncodedShape::stored_range(std::uint64_t from, std::uint64_t to) const {
    to = std::min(to, natural_size());
    if (from >= to) return {};
    if (!decoded) return {from, to};
    return {character_at(from) / 4 * 3, std::min((character_at(to) + 3) / 4 * 3, length)};
}

std::uint64_t EncodedShape::character_at(std::uint64_t position) const {
    std::uint64_t const stride = line_length + 2;
    return position / stride * line_length + std::min(position % stride, line_length);
}

void EncodedShape::append(std::uint64_t from, std::uint64_t to, std::string_view stored, std::string& out) const {
    std::uint64_t const natural = natural_size(), end = std::min(to, natural);
    if (!decoded) {
        out.append(stored);
    } else if (from < end) {
        std::string const flat = base64_encode(stored);
        std::uint64_t const first = character_at(from) / 4 * 4;  // of the whole, where `flat` begins
        std::uint64_t const stride = line_length + 2;
        for (std::uint64_t at = from; at < end;) {
            std::uint64_t const column = at % stride;
            if (column < line_length) {
                std::uint64_t const run = std::min(line_length - column, end - at);
                out.append(flat, character_at(at) - first, run);
                at += run;
            } else {
                out.push_back(column == line_length ? '\r' : '\n');
                ++at;
            }
        }
    }
    // Another writer may have dropped the line ends at the end (§10.3); the length is kept.
    std::uint64_t const whole = size();
    for (std::uint64_t at = std::max(from, natural); at < std::min(to, whole); ++at) {
        bool const odd_end = at + 1 == whole && (whole - natural) % 2 == 1;
        out.push_back(odd_end ? ' ' : (at - natural) % 2 == 0 ? '\r' : '\n');
    }
}

}  // namespace mallard::store::cluster
