#include "store/cluster/segment_reader.hpp"

#include <algorithm>

namespace mallard::store::cluster {

bson::Value file_of(bson::Document const& message, Segment const& segment) {
    auto const* tree = message.document("mimeTree");
    auto const* map = tree ? tree->document("attachmentMap") : nullptr;
    auto const* value = map ? map->find(segment.attachment) : nullptr;
    if (value && !value->is_null()) return *value;
    return segment.file.is_null() ? bson::Value(segment.attachment) : segment.file;
}

SegmentReader::SegmentReader(Attachments const& attachments, bson::Document const& message,
                             std::vector<Segment> segments, bool outline)
    : attachments_(attachments), outline_(outline) {
    places_.reserve(segments.size());
    for (auto& segment : segments) {
        Place place{.segment = std::move(segment), .file = {}, .begin = size_};
        if (!place.segment.attachment.empty()) place.file = file_of(message, place.segment);
        size_ += place.segment.bytes;
        places_.push_back(std::move(place));
    }
}

Result<void> SegmentReader::read(std::uint64_t offset, std::uint64_t length, std::string& out) {
    std::uint64_t const end = offset + std::min(length, size_ - std::min(offset, size_));
    auto place = std::ranges::upper_bound(places_, offset, {}, &Place::begin);
    if (place != places_.begin()) --place;
    for (; place != places_.end() && place->begin < end; ++place) {
        auto const& segment = place->segment;
        std::uint64_t const from = std::max(place->begin, offset) - place->begin;
        std::uint64_t const to = std::min(place->begin + segment.bytes, end) - place->begin;
        if (from >= to) continue;
        if (segment.attachment.empty())
            out.append(segment.text, from, to - from);
        else
            MALLARD_TRY(read_stored(*place, from, to, out));
    }
    return {};
}

Result<void> SegmentReader::open(Place const& place) {
    if (current_ == &place) return {};
    current_ = nullptr;
    if (opened_)
        if (auto const found = opened_->find(file_key(place.file)); found != opened_->end()) {
            file_.emplace(found->second);
            current_ = &place;
        }
    if (!current_) {
        MALLARD_TRY_ASSIGN(auto file, attachments_.open_one(place.file));
        file_.emplace(std::move(file));
        current_ = &place;
    }
    stored_at_ = bare_at_ = 0;
    after_cr_ = false;
    return {};
}

Result<void> SegmentReader::read_stored(Place const& place, std::uint64_t from, std::uint64_t to, std::string& out) {
    MALLARD_TRY(open(place));
    std::size_t const wanted = out.size() + (to - from);
    if (outline_ && place.segment.opaque && file_->decoded())
        out.append(to - from, 'A');
    else if (place.segment.bare_lf)
        MALLARD_TRY(read_bare(from, to, out));
    else
        MALLARD_TRY(file_->read(from, to, out));
    out.resize(wanted, ' ');  // what another writer lost; never for what we wrote
    return {};
}

Result<void> SegmentReader::read_bare(std::uint64_t from, std::uint64_t to, std::string& out) {
    constexpr std::uint64_t step = 64 * 1024;
    if (from < bare_at_) {
        stored_at_ = bare_at_ = 0;
        after_cr_ = false;
    }
    std::string piece;
    while (bare_at_ < to && stored_at_ < file_->size()) {
        piece.clear();
        MALLARD_TRY(file_->read(stored_at_, stored_at_ + step, piece));
        for (std::size_t i = 0; i < piece.size() && bare_at_ < to; ++i, ++stored_at_) {
            auto const put = [&](char c) {
                if (bare_at_ >= from && bare_at_ < to) out.push_back(c);
                ++bare_at_;
            };
            char const c = piece[i];
            if (after_cr_ && c != '\n') {
                put('\r');
                after_cr_ = false;
                if (bare_at_ >= to) break;  // c is for the next read
            }
            if (c == '\r') {
                after_cr_ = true;  // dropped if an LF follows
                continue;
            }
            after_cr_ = false;
            put(c);
        }
    }
    if (after_cr_ && bare_at_ < to && stored_at_ >= file_->size()) {
        after_cr_ = false;
        if (bare_at_ >= from) out.push_back('\r');
        ++bare_at_;
    }
    return {};
}

}  // namespace mallard::store::cluster
