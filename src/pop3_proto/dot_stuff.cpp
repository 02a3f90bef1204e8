#include "pop3_proto/dot_stuff.hpp"

#include <algorithm>

namespace mallard::pop3 {

void DotStuffer::feed(std::string_view bytes, std::string& out) {
    while (!bytes.empty()) {
        if (at_ == At::line_start && bytes.front() == '.') out += '.';
        if (at_ == At::after_cr && bytes.front() == '\n') {
            out += '\n';
            bytes.remove_prefix(1);
            at_ = At::line_start;
            continue;
        }
        // Up to and with the next CR nothing needs a look.
        std::size_t const end = std::min(bytes.find('\r'), bytes.size() - 1) + 1;
        out += bytes.substr(0, end);
        at_ = bytes[end - 1] == '\r' ? At::after_cr : At::inside;
        bytes.remove_prefix(end);
    }
}

void DotStuffer::finish(std::string& out) {
    if (at_ != At::line_start) out += "\r\n";
    out += ".\r\n";
    at_ = At::line_start;
}

std::size_t TopCutter::feed(std::string_view bytes) {
    // Lines are counted by LF, so that a message with bare LFs is cut where its author sees lines too.
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (done_ || (!in_header_ && left_ == 0)) {
            done_ = true;
            return i;
        }
        if (bytes[i] == '\n') {
            if (in_header_)
                in_header_ = !line_blank_;
            else
                --left_;
            line_blank_ = true;
        } else if (bytes[i] != '\r') {
            line_blank_ = false;
        }
    }
    done_ = done_ || (!in_header_ && left_ == 0);
    return bytes.size();
}

}  // namespace mallard::pop3
