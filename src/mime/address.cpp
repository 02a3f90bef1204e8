// Address lists (RFC 5322 §3.4, with §4.4's obsolete forms, and what senders write instead).

#include <algorithm>
#include <utility>

#include "base/encoding.hpp"
#include "mime/charset.hpp"
#include "mime/header.hpp"

namespace mallard::mime {

namespace {

constexpr std::size_t addresses_max = 10'000;  // per field; later ones are not looked at

struct Word {
    std::string text;
    bool quoted = false;
};

// What has been read of the address that is being read.
struct Pending {
    std::vector<Word> words;  // the phrase, or the address itself when there is no "<...>"
    std::string comment;      // the first one
    std::string angle;        // between < and >
    bool has_angle = false;

    bool empty() const { return words.empty() && !has_angle && comment.empty(); }
};

std::string join(std::vector<Word> const& words) {
    std::string out;
    for (Word const& word : words) {
        if (!out.empty()) out.push_back(' ');
        out += word.text;
    }
    return out;
}

// A domain without what no domain has: blanks, quotes, brackets of addresses.
std::string clean_domain(std::string_view text) {
    std::string domain = to_valid_utf8(trim(text));
    std::erase_if(domain, [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || c == 127 ||
               std::string_view("\"(),;<>\\@").find(c) != std::string_view::npos;
    });
    bool const literal = domain.starts_with('[') && domain.ends_with(']');  // RFC 5321 §4.1.3
    std::erase_if(domain, [&](char c) { return literal ? c < 0 : c == ':' || c == '[' || c == ']'; });
    return domain;
}

// The '@' before the domain: the last one, or the one behind a quoted local part. npos: there is none.
std::size_t find_domain(std::string_view text) {
    if (!text.starts_with('"')) return text.rfind('@');
    std::size_t close = 1;
    while (close < text.size() && text[close] != '"') close += text[close] == '\\' ? 2 : 1;
    return close < text.size() ? text.find('@', close) : text.rfind('@');
}

// "local@domain" into its parts; the last '@' outside quotes divides them.
void split_address(std::string_view text, Address& out) {
    text = trim(text);
    if (text.starts_with('@')) {  // RFC 5322 §4.4: obs-route
        std::size_t const colon = text.find(':');
        if (colon != std::string_view::npos && text.find('@', colon) != std::string_view::npos)
            text = trim(text.substr(colon + 1));
    }
    std::size_t const at = find_domain(text);
    std::string_view local = trim(text.substr(0, at));
    if (at != std::string_view::npos) out.host = clean_domain(text.substr(at + 1));
    std::string unquoted;
    if (local.size() >= 2 && local.front() == '"' && local.back() == '"') {
        local = local.substr(1, local.size() - 2);
        for (std::size_t i = 0; i < local.size(); ++i) {
            if (local[i] == '\\' && i + 1 < local.size()) ++i;
            unquoted.push_back(local[i]);
        }
        local = unquoted;
    }
    out.mailbox = decode_words(local);
}

class AddressParser {
public:
    explicit AddressParser(std::string_view text) : text_(text) {}

    std::vector<Address> run() {
        while (at_ < text_.size() && count_ < addresses_max) step();
        finish_address();
        finish_group();
        return std::move(list_);
    }

private:
    void step() {
        char const c = text_[at_];
        switch (c) {
            case '"': return read_quoted();
            case '(': return read_comment();
            case '<': return read_angle();
            case ',': ++at_; return finish_address();
            case ';':
                ++at_;
                finish_address();
                return finish_group();
            case ':': return read_colon();
            case '>':  // closes nothing
            case ' ':
            case '\t':
            case '\r':
            case '\n':
                ++at_;
                glued_ = false;
                return;
            default: return read_atom();
        }
    }

    void add(std::string text, bool quoted) {
        if (glued_ && !pending_.words.empty()) {  // "a"@b and a"b"c are one word
            Word& last = pending_.words.back();
            if (quoted || last.quoted) {
                if (last.quoted && !quoted && text.starts_with('@')) last.quoted = false;
                last.text += text;
                return;
            }
        }
        pending_.words.push_back({std::move(text), quoted});
        glued_ = true;
    }

    void read_atom() {
        std::size_t const end = std::min(text_.find_first_of("\"(<>,;: \t\r\n", at_), text_.size());
        add(std::string(text_.substr(at_, end - at_)), false);
        at_ = end;
    }

    void read_quoted() {
        std::string value;
        for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
            if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
            value.push_back(text_[at_]);
        }
        ++at_;
        add(std::move(value), true);
    }

    void read_comment() {
        std::string value;
        std::size_t depth = 0;
        for (; at_ < text_.size(); ++at_) {
            char const c = text_[at_];
            if (c == '(' && depth++ == 0) continue;
            if (c == ')' && --depth == 0) break;
            if (c == '\\' && at_ + 1 < text_.size()) ++at_;
            value.push_back(text_[at_]);
        }
        ++at_;
        if (pending_.comment.empty()) pending_.comment = trim(value);
    }

    void read_angle() {
        std::size_t const begin = ++at_;
        bool quoted = false;
        for (; at_ < text_.size(); ++at_) {
            char const c = text_[at_];
            if (c == '"') quoted = !quoted;
            if (c == '\\' && quoted)
                ++at_;
            else if (!quoted && (c == '>' || c == ',' || c == '<'))
                break;  // ',' and '<': it was never closed
        }
        at_ = std::min(at_, text_.size());
        if (!pending_.has_angle) pending_.angle = text_.substr(begin, at_ - begin);
        pending_.has_angle = true;
        if (at_ < text_.size() && text_[at_] == '>') ++at_;
        glued_ = false;
    }

    void read_colon() {
        ++at_;
        if (in_group_ || pending_.has_angle || pending_.words.empty()) return;
        group_ = Address{};
        group_.is_group = true;
        group_.name = decode_words(join(pending_.words));
        in_group_ = true;
        pending_ = {};
        glued_ = false;
    }

    // Without <...>: the last unquoted word with an '@' is the address, the others are the name.
    void find_bare_address(Address& address) {
        auto& words = pending_.words;
        auto const found = std::find_if(words.rbegin(), words.rend(), [](Word const& word) {
            return !word.quoted && word.text.find('@') != std::string::npos;
        });
        if (found != words.rend()) {
            split_address(found->text, address);
            words.erase(std::next(found).base());
        } else if (words.size() == 1 && !words.front().quoted) {
            split_address(words.front().text, address);
            words.clear();
        }
    }

    void finish_address() {
        glued_ = false;
        if (pending_.empty()) return;
        Address address;
        if (pending_.has_angle)
            split_address(pending_.angle, address);
        else
            find_bare_address(address);
        std::string const phrase = join(pending_.words);
        address.name = decode_words(phrase.empty() ? pending_.comment : phrase);
        pending_ = {};
        if (address.name.empty() && address.mailbox.empty() && address.host.empty()) return;
        ++count_;
        (in_group_ ? group_.group : list_).push_back(std::move(address));
    }

    void finish_group() {
        if (!in_group_) return;
        ++count_;
        list_.push_back(std::move(group_));
        in_group_ = false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    Pending pending_;
    bool glued_ = false;  // no blank since the last word
    std::vector<Address> list_;
    Address group_;
    bool in_group_ = false;
    std::size_t count_ = 0;
};

bool is_atom(std::string_view text) {
    return !text.empty() && std::ranges::all_of(text, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$%&'*+-/=?^_`{|}~.").find(c) != std::string_view::npos;
    });
}

// An atom, a quoted-string, or encoded words where neither can carry the text (RFC 5322 §3.2.5, RFC 2047 §5).
std::string format_phrase(std::string_view text) {
    bool const readable = text.find("=?") == std::string_view::npos;
    if (is_atom(text) && readable) return std::string(text);
    bool const printable = std::ranges::all_of(text, [](char c) { return (c >= ' ' && c < 127) || c == '\t'; });
    if (!printable || !readable) return encode_words(text);
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\') out.push_back('\\');
        out.push_back(c);
    }
    return out += '"';
}

void append_address(std::string& out, Address const& address) {
    bool const bare = address.name.empty() && !address.host.empty() && address.host.find(':') == std::string::npos &&
                      is_atom(address.mailbox) && address.mailbox.find("=?") == std::string::npos;
    if (!address.name.empty()) out += format_phrase(address.name) + ' ';
    if (!bare) out += '<';
    if (!address.mailbox.empty()) out += format_phrase(address.mailbox);
    if (!address.host.empty()) out += '@' + domain_to_ascii(address.host);
    if (!bare) out += '>';
}

}  // namespace

std::vector<Address> parse_addresses(std::string_view unfolded) {
    if (unfolded.find_first_of(std::string_view("\0\r\n", 3)) == std::string_view::npos)
        return AddressParser(unfolded).run();
    std::string clean(unfolded);  // none of these may stand in a header
    std::ranges::replace_if(clean, [](char c) { return c == '\0' || c == '\r' || c == '\n'; }, ' ');
    return AddressParser(clean).run();
}

std::string format_addresses(std::vector<Address> const& list) {
    std::string out;
    for (Address const& address : list) {
        if (!out.empty()) out += ", ";
        if (!address.is_group) {
            append_address(out, address);
            continue;
        }
        out += format_phrase(address.name) + ':';
        for (Address const& member : address.group) {
            out += &member == &address.group.front() ? " " : ", ";
            append_address(out, member);
        }
        out += ';';
    }
    return out;
}

}  // namespace mallard::mime
