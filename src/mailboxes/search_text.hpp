#pragma once
// The text of one message, as SEARCH sees it: read in windows, so that a large message is never held whole.
// Belongs to one thread. Needles are case-folded UTF-8.

#include <functional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "mime/imap_structure.hpp"
#include "store/mail_store.hpp"

namespace mallard::mailboxes {

// A BodyReader over bytes that are at hand.
class WholeReader final : public store::BodyReader {
public:
    explicit WholeReader(std::string_view bytes) : bytes_(bytes) {}
    std::uint64_t size() const override { return bytes_.size(); }
    Result<void> read(std::uint64_t offset, std::uint64_t length, std::string& out) override;

private:
    std::string_view bytes_;
};

class MessageText {
public:
    MessageText(store::BodyReader& reader, mime::Part tree, std::function<bool()> const& cancelled)
        : reader_(reader), tree_(std::move(tree)), cancelled_(cancelled) {}

    bool header_contains(std::string_view field, std::string_view needle);  // of the message's own header
    bool any_header_contains(std::string_view needle);
    // Text parts, decoded; headers of embedded messages.
    bool body_contains(std::string_view needle);

    // Why an answer may be wrong: reading failed, or the search was cancelled.
    Result<void> const& outcome() const { return outcome_; }

private:
    std::string read(std::uint64_t offset, std::uint64_t length);
    std::string const& header();
    bool part_contains(mime::Part const& part, std::string_view needle);
    bool leaf_contains(mime::Part const& part, std::string_view needle);

    store::BodyReader& reader_;
    mime::Part tree_;
    std::function<bool()> const& cancelled_;
    Result<void> outcome_;
    std::string header_;
    bool has_header_ = false;
};

}  // namespace mallard::mailboxes
