#pragma once
// SegmentReader: a stored message as bytes, made of its segments (mime_tree.hpp) as they are asked for. Stored bodies
// are read in pieces: however large the message, a megabyte or so of it is in memory.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/cluster/attachments.hpp"
#include "store/cluster/mime_tree.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::cluster {

// The file behind an attachment of a message: what attachmentMap says; of old the id itself (storage.md §17.5).
bson::Value file_of(bson::Document const& message, Segment const& segment);

class SegmentReader final : public BodyReader {
public:
    // `outline`: bodies that say nothing of the message's structure may be read as filling of the same length.
    SegmentReader(Attachments const& attachments, bson::Document const& message, std::vector<Segment> segments,
                  bool outline = false);
    // Files that are open already, by file_key.
    void share(std::map<std::string, AttachmentReader> const* opened) { opened_ = opened; }

    std::uint64_t size() const override { return size_; }
    Result<void> read(std::uint64_t offset, std::uint64_t length, std::string& out) override;

private:
    struct Place {
        Segment segment;
        bson::Value file;
        std::uint64_t begin = 0;
    };
    Result<void> open(Place const& place);
    Result<void> read_stored(Place const& place, std::uint64_t from, std::uint64_t to, std::string& out);
    Result<void> read_bare(std::uint64_t from, std::uint64_t to, std::string& out);

    Attachments const& attachments_;
    std::vector<Place> places_;
    std::uint64_t size_ = 0;
    bool outline_;
    std::map<std::string, AttachmentReader> const* opened_ = nullptr;

    Place const* current_ = nullptr;  // whose file this is:
    std::optional<AttachmentReader> file_;
    // With LF for CRLF an octet's place follows from all before it: where the last read ended.
    std::uint64_t stored_at_ = 0, bare_at_ = 0;
    bool after_cr_ = false;
};

}  // namespace mallard::store::cluster
