#include "delivery/trace.hpp"

#include <fmt/format.h>

#include "base/encoding.hpp"
#include "mime/header.hpp"

namespace mallard::delivery {

namespace {

// A client may call itself anything without blanks; in a header only what a host name is made of is kept.
std::string host_text(std::string_view name) {
    std::string out;
    for (char c : name.substr(0, 255)) {
        bool const alnum = (c >= '0' && c <= '9') || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
        bool const kept = alnum || static_cast<unsigned char>(c) >= 0x80 || std::string_view(".-_:[]").contains(c);
        out += kept ? c : '?';
    }
    return out.empty() ? "unknown" : out;
}

}  // namespace

std::string delivered_to_line(Recipient const& recipient) { return "Delivered-To: " + recipient.address + "\r\n"; }

std::string shared_trace(Envelope const& envelope, Recipient const* only, TimeMs now) {
    std::string const literal = '[' + envelope.client_address + ']';
    std::string const peer = envelope.client_host.empty() || envelope.client_host == literal
                                 ? literal
                                 : host_text(envelope.client_host) + ' ' + literal;
    return fmt::format(
        "Return-Path: <{}>\r\n"
        "Received: from {} ({})\r\n"
        "\tby {} (Mallard) with {} id {}{};\r\n"
        "\t{}\r\n",
        envelope.sender, host_text(envelope.client_name), peer, host_text(envelope.server_name), envelope.protocol,
        envelope.transaction, only ? "\r\n\tfor <" + only->address + '>' : "", mime::format_date(now));
}

ReceivedFacts read_received(std::string_view unfolded) {
    ReceivedFacts facts;
    int depth = 0;  // of comments
    std::string word, before;
    auto end_word = [&] {
        while (word.ends_with(';')) word.pop_back();
        if (iequals(before, "with") && facts.transtype.empty()) facts.transtype = word;
        if (iequals(before, "id") && facts.queue_id.empty()) facts.queue_id = word;
        before = std::move(word);
        word.clear();
    };
    for (std::size_t i = 0; i < unfolded.size(); ++i) {
        char const c = unfolded[i];
        if (c == '[' && facts.origin.empty()) {
            std::string_view address = unfolded.substr(i + 1, unfolded.find(']', i) - i - 1);
            if (iequals(address.substr(0, 5), "IPv6:")) address.remove_prefix(5);
            facts.origin = address.substr(0, 64);
        }
        if (c == ';' && depth == 0) break;  // the date follows
        if (c == '(') ++depth;
        if (depth == 0 && c != ' ' && c != '\t') word += c;
        if (depth == 0 && (c == ' ' || c == '\t') && !word.empty()) end_word();
        if (c == ')' && depth > 0) --depth;
    }
    if (!word.empty()) end_word();
    return facts;
}

}  // namespace mallard::delivery
