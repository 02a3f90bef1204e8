#include "store/cluster/reference_check.hpp"

#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "store/cluster/message_document.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Document;

Document file_projection() { return {{"metadata.c", 1}, {"metadata.m", 1}, {"metadata.cu", 1}}; }

std::optional<std::string> digest_of(Document const& file) {
    auto const* id = file.find("_id");
    auto const* digest = id ? id->as<Binary>() : nullptr;
    return digest ? std::optional(digest->bytes) : std::nullopt;
}

void add(ReferenceCheck::References& to, Document const& message, std::int64_t times) {
    to.times += times;
    to.magics += times * message.integer("magic");
}

}  // namespace

void ReferenceCheck::count(Document const& message) {
    for (auto const& [digest, times] : digests_of(message)) add(used_[digest], message, times);
}

ReferenceCheck::File ReferenceCheck::file_of(Document const& file) {
    auto const* metadata = file.document("metadata");
    if (!metadata) return {};
    return {{metadata->integer("c"), metadata->integer("m")}, metadata->date("cu").value_or(0)};
}

Result<std::vector<ReferenceCheck::TooLow>> ReferenceCheck::too_low(std::uint64_t& files,
                                                                    std::chrono::milliseconds calm) {
    constexpr int looks = 3;
    files = 0;
    MALLARD_TRY(mongo_.find_each(Db::gridfs, "attachments.files", {}, {.projection = file_projection()},
                                 [&](Document const& file) {
                                     auto const digest = digest_of(file);
                                     if (!digest) return true;
                                     ++files;
                                     auto const used = used_.find(*digest);
                                     if (used != used_.end() && used->second.times <= file_of(file).counted.times)
                                         used_.erase(used);
                                     return true;
                                 }));
    std::vector<TooLow> found;
    for (int look = 0; look < looks && !used_.empty(); ++look) {
        if (look > 0) std::this_thread::sleep_for(calm);
        MALLARD_TRY(judge(found));
    }
    return found;
}

Result<void> ReferenceCheck::judge(std::vector<TooLow>& found) {
    MALLARD_TRY_ASSIGN(auto const before, files());
    MALLARD_TRY(count_again());
    MALLARD_TRY_ASSIGN(auto const after, files());
    for (auto at = used_.begin(); at != used_.end();) {
        auto const& [digest, used] = *at;
        auto const was = before.find(digest), is = after.find(digest);
        bool const there = is != after.end();
        if (there != (was != before.end()) || (there && was->second != is->second)) {
            ++at;  // it changed meanwhile
            continue;
        }
        References const counted = there ? is->second.counted : References();
        if (used.times > counted.times)
            found.push_back({digest, {used.times - counted.times, used.magics - counted.magics}, !there});
        at = used_.erase(at);
    }
    return {};
}

Result<std::map<std::string, ReferenceCheck::File>> ReferenceCheck::files() const {
    constexpr std::size_t ids_max = 10'000;
    std::map<std::string, File> out;
    for (auto at = used_.begin(); at != used_.end();) {
        Array ids;
        for (; at != used_.end() && ids.size() < ids_max; ++at) ids.emplace_back(Binary{at->first});
        MALLARD_TRY(mongo_.find_each(Db::gridfs, "attachments.files", {{"_id", Document{{"$in", std::move(ids)}}}},
                                     {.projection = file_projection()}, [&](Document const& file) {
                                         if (auto const digest = digest_of(file)) out.emplace(*digest, file_of(file));
                                         return true;
                                     }));
    }
    return out;
}

// Of what is in used_. A message that WildDuck archives meanwhile takes its reference along, under its id: it counts
// once.
Result<void> ReferenceCheck::count_again() {
    for (auto& [digest, used] : used_) used = {};
    std::set<ObjectId> seen;
    for (char const* collection : {"messages", "archived"})
        MALLARD_TRY(
            mongo_.find_each(Db::main, collection, {}, {.projection = projection()}, [&](Document const& message) {
                auto const id = message.id("_id");
                if (!id || seen.contains(*id)) return true;
                for (auto const& [digest, times] : digests_of(message)) {
                    auto const used = used_.find(digest);
                    if (used == used_.end()) continue;
                    add(used->second, message, times);
                    seen.insert(*id);
                }
                return true;
            }));
    return {};
}

}  // namespace mallard::store::cluster
