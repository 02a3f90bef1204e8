// IMAP commands: any bytes give a command or a refusal, never a crash. Oracle: what was understood, printed and parsed
// again, is the same; modified UTF-7 that decodes encodes to something that decodes to the same.
//
// Input: lines as a client would send them, LF or CRLF; a line that ends with a literal marker is followed by its
// octets.

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/encoding.hpp"
#include "check.hpp"
#include "imap_proto/append.hpp"
#include "imap_proto/command.hpp"
#include "imap_proto/fetch.hpp"
#include "imap_proto/list.hpp"
#include "imap_proto/search.hpp"
#include "imap_proto/store.hpp"
#include "imap_proto/utf7.hpp"

using namespace mallard;
using namespace mallard::imap_proto;

namespace {

RawCommand read_raw(std::string_view input) {
    RawCommand raw;
    while (true) {
        std::size_t const end = std::min(input.find('\n'), input.size());
        std::string_view line = input.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        raw.text += line;
        auto const marker = literal_marker(line);
        if (!marker || end == input.size()) return raw;
        input.remove_prefix(end + 1);
        raw.text += '\n';
        Literal literal;
        literal.binary = marker->binary;
        literal.text = input.substr(0, marker->valid ? marker->size : 0);
        // The marker must say what the literal is, or nothing could be printed back.
        if (!marker->valid || literal.text.size() != marker->size) return raw;
        input.remove_prefix(literal.text.size());
        raw.literals.push_back(std::move(literal));
    }
}

bool same(std::vector<Argument> const& a, std::vector<Argument> const& b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (a[i].kind != b[i].kind || a[i].bytes() != b[i].bytes() || a[i].binary != b[i].binary ||
            a[i].has_section != b[i].has_section || a[i].partial != b[i].partial || !same(a[i].items, b[i].items))
            return false;
    return true;
}

// Each parser sees the arguments as the table of commands would hand them over.
void parse_all(std::vector<Argument> const& arguments) {
    Limits const limits;
    if (arguments.size() >= 2 && arguments.size() <= 3) static_cast<void>(parse_fetch(arguments, "FETCH", limits));
    if (arguments.size() >= 3) static_cast<void>(parse_store(arguments, "STORE", limits));
    if (arguments.size() >= 2) static_cast<void>(parse_append(arguments, 1'700'000'000'000, limits));
    if (arguments.size() >= 2) static_cast<void>(parse_list(arguments, "LIST"));
    if (!arguments.empty()) static_cast<void>(parse_search(arguments, limits));
    for (Argument const& argument : arguments)
        if (argument.is_atom())
            if (auto const set = parse_sequence_set(argument.text)) static_cast<void>(set->resolve(1000, 1000));
}

void check_name(std::string_view name) {
    auto const decoded = decode_utf7(name);
    if (!decoded) return;
    MALLARD_FUZZ_CHECK(is_valid_utf8(*decoded));
    MALLARD_FUZZ_CHECK(decode_utf7(encode_utf7(*decoded)) == decoded);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const input(reinterpret_cast<char const*>(data), size);
    check_name(input.substr(0, 256));
    RawCommand raw = read_raw(input);
    auto head = parse_head(raw.text);
    if (!head) return 0;
    auto arguments = parse_arguments(raw, head->rest, Limits{});
    if (!arguments) return 0;
    parse_all(*arguments);

    Command const command{head->tag, head->name, *arguments};
    RawCommand again = print_command(command);
    auto const head_again = parse_head(again.text);
    MALLARD_FUZZ_CHECK(head_again && head_again->tag == command.tag && head_again->name == command.name);
    auto const arguments_again = parse_arguments(again, head_again->rest, Limits{});
    MALLARD_FUZZ_CHECK(arguments_again && same(*arguments, *arguments_again));
    return 0;
}
