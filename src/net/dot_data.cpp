#include "net/dot_data.hpp"

namespace mallard::net {

bool DotDecoder::at_line_start(std::string_view in, std::size_t at) const {
    char const before = at >= 1 ? in[at - 1] : last_[1];
    char const before_that = at >= 2 ? in[at - 2] : last_[at];
    return before == '\n' && before_that == '\r';
}

void DotDecoder::remember(std::string_view taken) {
    if (taken.empty()) return;
    last_[0] = taken.size() >= 2 ? taken[taken.size() - 2] : last_[1];
    last_[1] = taken.back();
}

std::size_t DotDecoder::step(std::string_view in, std::string_view& out) {
    out = {};
    if (in.empty()) return 0;
    switch (state_) {
        case State::done: return 0;
        case State::after_dot:  // the dot has been dropped; is it the end?
            if (in[0] == '\r') {
                state_ = State::after_dot_cr;
                return 1;
            }
            state_ = State::text;
            break;
        case State::after_dot_cr:
            if (in[0] == '\n') {
                state_ = State::done;
                return 1;
            }
            state_ = State::text;  // CR was data after all
            last_ = {'.', '\r'};
            out = "\r";
            return 0;
        case State::text: break;
    }
    // Dots are rarer than line ends: none at all in base64.
    std::size_t from = 0;
    for (;;) {
        std::size_t const dot = in.find('.', from);
        if (dot == std::string_view::npos) break;
        if (at_line_start(in, dot)) {
            out = in.substr(0, dot);
            last_ = {'\n', '.'};
            state_ = State::after_dot;
            return dot + 1;
        }
        from = dot + 1;
    }
    out = in;
    remember(in);
    return in.size();
}

}  // namespace mallard::net
