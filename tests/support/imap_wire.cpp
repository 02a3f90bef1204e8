#include "support/imap_wire.hpp"

#include <string>

namespace mallard::test {

namespace {

class Checker {
public:
    explicit Checker(std::string_view wire) : rest_(wire) {}

    bool done() const { return rest_.empty(); }

    // "(" env-date SP env-subject SP from SP sender SP reply-to SP to SP cc SP bcc SP in-reply-to SP message-id ")"
    bool envelope() {
        if (!take("(") || !nstring() || !space() || !nstring()) return false;
        for (int list = 0; list < 6; ++list)
            if (!space() || !addresses()) return false;
        return space() && nstring() && space() && nstring() && take(")");
    }

    bool body(bool extended) {
        if (!take("(")) return false;
        if (rest_.starts_with('(')) return multipart(extended) && take(")");
        return leaf(extended) && take(")");
    }

private:
    bool take(std::string_view token) {
        if (!rest_.starts_with(token)) return false;
        rest_.remove_prefix(token.size());
        return true;
    }
    bool space() { return take(" "); }

    // DQUOTE *QUOTED-CHAR DQUOTE: 7-bit, no CR, LF, NUL; quotes and backslashes escaped.
    bool string(std::string* value = nullptr) {
        if (!take("\"")) return false;
        while (!rest_.empty()) {
            char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') return true;
            if (c == '\\') {
                if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\\')) return false;
                c = rest_.front();
                rest_.remove_prefix(1);
            } else if (c <= 0 || c == '\r' || c == '\n') {
                return false;
            }
            if (value) value->push_back(c);
        }
        return false;
    }
    bool nstring() { return take("NIL") || string(); }

    bool number() {
        std::size_t digits = 0;
        while (digits < rest_.size() && rest_[digits] >= '0' && rest_[digits] <= '9') ++digits;
        if (digits == 0 || digits > 10) return false;
        rest_.remove_prefix(digits);
        return true;
    }

    bool addresses() {
        if (take("NIL")) return true;
        if (!take("(")) return false;
        do {
            if (!take("(") || !nstring() || !space() || !nstring() || !space() || !nstring() || !space() ||
                !nstring() || !take(")"))
                return false;
        } while (!rest_.starts_with(')'));
        return take(")");
    }

    bool parameters() {
        if (take("NIL")) return true;
        if (!take("(")) return false;
        do {
            if (!string() || !space() || !string()) return false;
        } while (space());
        return take(")");
    }

    bool languages() {
        if (!take("(")) return nstring();
        do {
            if (!string()) return false;
        } while (space());
        return take(")");
    }

    // SP body-fld-dsp SP body-fld-lang SP body-fld-loc
    bool extension() {
        if (!space()) return false;
        if (!take("NIL") && !(take("(") && string() && space() && parameters() && take(")"))) return false;
        return space() && languages() && space() && nstring();
    }

    bool multipart(bool extended) {
        while (rest_.starts_with('('))
            if (!body(extended)) return false;
        if (!space() || !string()) return false;
        return !extended || (space() && parameters() && extension());
    }

    bool leaf(bool extended) {
        std::string type, subtype;
        if (!string(&type) || !space() || !string(&subtype) || type == "MULTIPART") return false;
        if (!space() || !parameters() || !space() || !nstring() || !space() || !nstring() || !space() || !string() ||
            !space() || !number())
            return false;
        if (type == "MESSAGE" && subtype == "RFC822" &&
            !(space() && envelope() && space() && body(extended) && space() && number()))
            return false;
        if (type == "TEXT" && !(space() && number())) return false;
        return !extended || (space() && nstring() && extension());
    }

    std::string_view rest_;
};

}  // namespace

bool is_envelope(std::string_view wire) {
    Checker checker(wire);
    return checker.envelope() && checker.done();
}

bool is_body(std::string_view wire, bool extended) {
    Checker checker(wire);
    return checker.body(extended) && checker.done();
}

}  // namespace mallard::test
