// Upkeep: what nobody points at, and whether everything holds.
#include <algorithm>
#include <chrono>
#include <set>
#include <thread>
#include <utility>

#include "base/encoding.hpp"
#include "store/cluster/mail_store.hpp"
#include "store/cluster/reference_check.hpp"

namespace mallard::store::cluster {

namespace {

using bson::Array;
using bson::Binary;
using bson::Document;

class Checker {
public:
    Checker(MongoClient& mongo, std::chrono::milliseconds calm, bool repair,
            std::function<void(std::uint64_t, std::uint64_t)> const& progress)
        : mongo_(mongo), calm_(calm), repair_(repair), progress_(progress), references_(mongo) {}

    Result<CheckReport> run() {
        MALLARD_TRY_ASSIGN(auto const total, mongo_.count(Db::main, "messages", {}));
        total_ = static_cast<std::uint64_t>(total);
        MALLARD_TRY_ASSIGN(auto const mailboxes, mongo_.find(Db::main, "mailboxes", {}));
        total_ += mailboxes.size();
        for (auto const& mailbox : mailboxes) {
            MALLARD_TRY(check_mailbox(mailbox));
            tick();
        }
        report_.users = used_.size();
        MALLARD_TRY(find_strays());
        MALLARD_TRY(mongo_.find_each(Db::main, "archived", {}, {.projection = ReferenceCheck::projection()},
                                     [&](Document message) {
                                         references_.count(message);
                                         return true;
                                     }));
        MALLARD_TRY(check_files());
        MALLARD_TRY(check_storage());
        total_ = done_;
        if (progress_) progress_(done_, total_);
        return std::move(report_);
    }

private:
    static Document message_projection() {
        Document fields = ReferenceCheck::projection();
        for (std::string_view field : {"uid", "modseq", "size"}) fields.set(field, 1);
        return fields;
    }

    void tick() {
        ++done_;
        if (progress_ && done_ % 1'000 == 0) progress_(done_, std::max(done_, total_));
    }

    void problem(std::string text) {
        constexpr std::size_t problems_max = 100;
        ++report_.problem_count;
        if (report_.problems.size() < problems_max) report_.problems.push_back(std::move(text));
    }

    Result<void> check_mailbox(Document const& mailbox) {
        auto const id = mailbox.id("_id"), user = mailbox.id("user");
        if (!id || !user) {
            problem("a mailbox lacks its id or its user");
            return {};
        }
        ++report_.mailboxes;
        mailboxes_.insert(*id);
        std::int64_t& used = used_[*user];
        std::int64_t last = 0, modseq = 0;
        std::string const name = "mailbox " + id->hex();
        MALLARD_TRY(mongo_.find_each(Db::main, "messages", {{"mailbox", *id}},
                                     {.projection = message_projection(), .sort = {{"uid", 1}}}, [&](Document message) {
                                         std::int64_t const uid = message.integer("uid");
                                         if (uid <= last) problem(name + " has UID " + std::to_string(uid) + " twice");
                                         last = std::max(last, uid);
                                         modseq = std::max(modseq, message.integer("modseq"));
                                         used += message.integer("size");
                                         references_.count(message);
                                         ++report_.messages;
                                         tick();
                                         return true;
                                     }));
        if (last >= mailbox.integer("uidNext", 1) || modseq > mailbox.integer("modifyIndex", 1))
            late_.push_back({*id, last, modseq});
        return {};
    }

    // Messages of mailboxes that are gone: the sweep takes those that are marked for it.
    Result<void> find_strays() {
        for (auto const& late : late_) {  // the mailbox may have moved on since it was read
            MALLARD_TRY_ASSIGN(auto const now, mongo_.find_one(Db::main, "mailboxes", {{"_id", late.mailbox}}));
            if (!now || (late.uid < now->integer("uidNext", 1) && late.modseq <= now->integer("modifyIndex", 1)))
                continue;
            problem("mailbox " + late.mailbox.hex() + " counts less than its messages say");
            if (!repair_) continue;
            MALLARD_TRY(mongo_.write(Db::main, "mailboxes",
                                     {.filter = {{"_id", late.mailbox}},
                                      .document = {{"$max", Document{{"uidNext", bson::number(late.uid + 1)},
                                                                     {"modifyIndex", bson::number(late.modseq)}}}}}));
            ++report_.repaired;
        }
        MALLARD_TRY_ASSIGN(auto const total, mongo_.count(Db::main, "messages", {}));
        if (static_cast<std::uint64_t>(total) == report_.messages) return {};
        std::set<ObjectId> strays;
        MALLARD_TRY(mongo_.find_each(Db::main, "messages", {{"exp", Document{{"$ne", true}}}},
                                     {.projection = {{"mailbox", 1}}}, [&](Document message) {
                                         auto const mailbox = message.id("mailbox");
                                         if (mailbox && !mailboxes_.contains(*mailbox)) strays.insert(*mailbox);
                                         return true;
                                     }));
        for (auto const& id : strays) {
            MALLARD_TRY_ASSIGN(auto const mailbox, mongo_.find_one(Db::main, "mailboxes", {{"_id", id}}));
            if (mailbox) continue;  // made meanwhile
            problem("mailbox " + id.hex() + " is gone, but messages of it are there");
            if (!repair_) continue;
            MALLARD_TRY(mongo_.write(Db::main, "messages",
                                     {.kind = Write::Kind::update_many,
                                      .filter = {{"mailbox", id}},
                                      .document = {{"$set", Document{{"exp", true}, {"rdate", 1.0}}}}}));
            ++report_.repaired;
        }
        return {};
    }

    Result<void> check_files() {
        MALLARD_TRY_ASSIGN(auto const low, references_.too_low(report_.bodies, calm_));
        for (auto const& one : low) {
            std::string const name = "attachment " + hex_encode(one.digest);
            problem(name + (one.is_lost ? " is missing; messages use it" : " is counted less often than it is used"));
            if (!repair_ || one.is_lost) continue;
            Document const missing{{"metadata.c", bson::number(one.missing.times)},
                                   {"metadata.m", bson::number(one.missing.magics)}};
            MALLARD_TRY(mongo_.write(Db::gridfs, "attachments.files",
                                     {.filter = {{"_id", Binary{one.digest}}}, .document = {{"$inc", missing}}}));
            ++report_.repaired;
        }
        return {};
    }

    // A message on its way makes a counter differ from the sum: only what stays so while nothing comes or goes for a
    // time that no write takes is wrong. A user to whom something always comes is left to the next check.
    Result<void> check_storage() {
        constexpr int looks = 4;
        MALLARD_TRY_ASSIGN(auto suspects, suspicious_counters());
        for (int look = 0; look < looks && !suspects.empty(); ++look) {
            if (look > 0) std::this_thread::sleep_for(calm_);
            for (auto at = suspects.begin(); at != suspects.end();) {
                MALLARD_TRY_ASSIGN(bool const is_settled, judge_storage(at->first, at->second));
                at = is_settled ? suspects.erase(at) : std::next(at);
            }
        }
        return {};
    }

    // What tells whether something came or went meanwhile: the counter alone may come back to where it was.
    struct Storage {
        std::int64_t counter = 0, changes = -1;
        bool operator==(Storage const&) const = default;
    };

    // Those whose counter differs from what the messages summed up to when they were read.
    Result<std::map<ObjectId, Storage>> suspicious_counters() {
        std::map<ObjectId, Storage> out;
        MALLARD_TRY(mongo_.find_each(Db::users, "users", {}, {.projection = {{"storageUsed", 1}}}, [&](Document user) {
            auto const id = user.id("_id");
            if (!id) return true;
            auto const used = used_.find(*id);
            if (user.integer("storageUsed") != (used == used_.end() ? 0 : used->second)) out.emplace(*id, Storage());
            return true;
        }));
        return out;
    }

    // none: the user is gone.
    Result<std::optional<Storage>> storage_of(ObjectId user) {
        MALLARD_TRY_ASSIGN(auto const found,
                           mongo_.find_one(Db::users, "users", {{"_id", user}}, {.projection = {{"storageUsed", 1}}}));
        if (!found) return std::nullopt;
        Storage storage{.counter = found->integer("storageUsed"), .changes = 0};
        MALLARD_TRY(mongo_.find_each(Db::main, "mailboxes", {{"user", user}}, {.projection = {{"modifyIndex", 1}}},
                                     [&](Document mailbox) {
                                         storage.changes += mailbox.integer("modifyIndex");
                                         return true;
                                     }));
        return storage;
    }

    // false: it is wrong, but not as it was `seen`, which becomes what it is now.
    Result<bool> judge_storage(ObjectId user, Storage& seen) {
        MALLARD_TRY_ASSIGN(auto const sum, octets_of(mongo_, user));
        MALLARD_TRY_ASSIGN(auto const now, storage_of(user));
        if (!now) return true;
        if (now->counter == sum) return true;
        if (std::exchange(seen, *now) != *now) return false;
        problem("the storage counter of user " + user.hex() + " differs from the sum of the messages");
        if (!repair_) return true;
        MALLARD_TRY(
            mongo_.write(Db::users, "users",
                         {.filter = {{"_id", user}},
                          .document = {{"$inc", Document{{"storageUsed", bson::number(sum - now->counter)}}}}}));
        ++report_.repaired;
        return true;
    }

    struct Late {
        ObjectId mailbox;
        std::int64_t uid = 0, modseq = 0;
    };

    MongoClient& mongo_;
    std::chrono::milliseconds calm_;
    bool repair_;
    std::function<void(std::uint64_t, std::uint64_t)> const& progress_;
    CheckReport report_;
    std::uint64_t done_ = 0, total_ = 0;
    std::set<ObjectId> mailboxes_;
    std::map<ObjectId, std::int64_t> used_;
    ReferenceCheck references_;
    std::vector<Late> late_;
};

}  // namespace

Result<CheckReport> ClusterMailStore::check(bool repair,
                                            std::function<void(std::uint64_t, std::uint64_t)> const& progress) {
    return Checker(mongo_, calm_, repair, progress).run();
}

Result<bool> ClusterMailStore::sweep() {
    constexpr std::int64_t batch = 1'000;
    MALLARD_TRY_ASSIGN(bool more, sweep_archive(batch));
    MALLARD_TRY_ASSIGN(bool const more_files, attachments_.sweep(batch));
    more = more || more_files;
    // What a deletion of a mailbox left behind when its process ended. Expired messages of living mailboxes are the
    // business of retention.
    Document const due{{"exp", true}, {"rdate", Document{{"$lte", static_cast<double>(clock_.now())}}}};
    MALLARD_TRY_ASSIGN(
        auto const expired,
        mongo_.find(Db::main, "messages", due, {.projection = {{"mailbox", 1}, {"userDeleted", 1}}, .limit = batch}));
    std::map<ObjectId, bool> archived;
    for (auto const& message : expired)
        if (auto const id = message.id("mailbox")) archived[*id] = !message.boolean("userDeleted");
    for (auto const& [id, keep] : archived) {
        MALLARD_TRY_ASSIGN(auto const found, mailbox(MailboxId(id)));
        if (found) continue;
        MALLARD_TRY(remove_all(MailboxId(id), keep));
        more = more || static_cast<std::int64_t>(expired.size()) == batch;
    }
    return more;
}

}  // namespace mallard::store::cluster
