#pragma once
// MailCheck: verifies every invariant of the mail store in one consistent view, while the store is in use, and repairs
// what can be: counters by the difference, and what nothing points at by freeing it.
// - A place of the disk that cannot be read costs what lies there, never the check.
// - While a mailbox cannot be read, what belongs to it is not known: no body is freed then, nor a counter corrected.
// - While a body cannot be read, what parts it has is not known: no part is freed then, nor its counter corrected.

#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "store/embedded/content.hpp"
#include "store/embedded/content_sweep.hpp"
#include "store/mail_store.hpp"

namespace mallard::store::embedded {

class MailCheck {
public:
    using Progress = std::function<void(std::uint64_t, std::uint64_t)>;
    MailCheck(kv::Engine& engine, Content& content, ContentSweep& sweep, bool repair, Progress const& progress);
    ~MailCheck();

    Result<CheckReport> run();

private:
    struct Body {
        std::int64_t rows = 0;    // that refer to it
        std::uint64_t size = 0;   // as the rows say
        std::int64_t logged = 0;  // gained minus lost, not yet counted
        std::int64_t losses = 0;
        bool has_record = false, has_bytes = false;
    };
    struct Leaf {
        std::int64_t bodies = 0;  // that contain it
        std::uint64_t size = 0;
        std::uint64_t found = 0;  // octets of its pieces
    };

    void problem(std::string text);
    Result<void> read_intents();
    Result<void> read_mailboxes();
    Result<void> read_paths();
    void read_index(MailboxIndex const& index);
    Result<void> read_ref_log();
    Result<void> read_records();
    Result<void> read_bodies();
    Result<void> read_unseen_records();
    Result<void> read_unseen_bodies();
    Result<void> read_unseen_leaves();
    void body_problem(BodyRef ref, Error const& error);
    Result<void> read_body_piece(std::string_view key, std::string_view value, std::string& octets);
    Result<void> read_leaves();
    Result<void> compare_storage();
    Result<void> compare_bodies();
    Result<void> compare_leaves();
    Result<void> free_leaf(std::string const& hash, std::int64_t counted);
    Result<void> correct(kv::Table table, std::string_view key, std::int64_t by);

    kv::Engine& engine_;
    Content& content_;
    ContentSweep& sweep_;
    bool const repair_;
    Progress const& progress_;
    std::unique_ptr<kv::View> view_;
    CheckReport report_;

    std::unordered_map<UserId, std::int64_t> octets_of_user_;
    std::unordered_map<BodyRef, Body> bodies_;
    std::unordered_map<std::string, Leaf> leaves_;
    std::unordered_set<BodyRef> incoming_bodies_;
    std::unordered_set<std::string> incoming_leaves_;
    std::unordered_set<ObjectId> mailboxes_;
    bool rows_known_ = true, layouts_known_ = true;
};

}  // namespace mallard::store::embedded
