#pragma once
// ReferenceCheck: whether attachments are counted at least as often as messages use them (storage.md §10, §18), while
// others come and go.
//
// Too high a count is drift, which costs space; too low a one would cost an attachment. A reference is counted before
// it is there and until it is gone, so a count that nobody changes is never too low. But a message that leaves after it
// was counted makes it seem so; hence what seems too low is counted anew, and judged if it did not change meanwhile.
// Threads: none of it is shared.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "store/cluster/mongo_client.hpp"

namespace mallard::store::cluster {

class ReferenceCheck {
public:
    struct References {
        std::int64_t times = 0, magics = 0;  // metadata.c and metadata.m
        bool operator==(References const&) const = default;
    };
    struct TooLow {
        std::string digest;
        References missing;
        bool is_lost = false;  // there is no such file
    };

    explicit ReferenceCheck(MongoClient const& mongo) : mongo_(mongo) {}  // outlives it

    // A message of `messages` or `archived`, by projection().
    void count(bson::Document const& message);
    static bson::Document projection() { return {{"magic", 1}, {"mimeTree.attachmentMap", 1}}; }

    // When all are counted. What changes at each of a few looks, `calm` apart, is left out. `files`: becomes how many
    // there are. Once.
    Result<std::vector<TooLow>> too_low(std::uint64_t& files, std::chrono::milliseconds calm);

private:
    struct File {
        References counted;
        std::int64_t changed_at = 0;
        bool operator==(File const&) const = default;
    };
    static File file_of(bson::Document const& file);
    Result<std::map<std::string, File>> files() const;
    Result<void> count_again();
    Result<void> judge(std::vector<TooLow>& found);

    MongoClient const& mongo_;
    std::map<std::string, References> used_;  // by digest; when all are counted: those not judged yet
};

}  // namespace mallard::store::cluster
