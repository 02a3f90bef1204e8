#pragma once
// The trace headers that delivery adds, and what it reads from those that are there. Pure.

#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "delivery/delivery.hpp"

namespace mallard::delivery {

std::string delivered_to_line(Recipient const& recipient);  // with CRLF
// Return-Path and Received (RFC 5321 §4.4), with CRLF. `only`: the recipient when there is just one.
std::string shared_trace(Envelope const& envelope, Recipient const* only, TimeMs now);

// What a Received field says of the hop before (protocols.md §3: meta.origin, transtype, queueId); empty: nothing.
struct ReceivedFacts {
    std::string origin;     // IP
    std::string transtype;  // with ESMTPS
    std::string queue_id;   // id ...
};
ReceivedFacts read_received(std::string_view unfolded);

}  // namespace mallard::delivery
