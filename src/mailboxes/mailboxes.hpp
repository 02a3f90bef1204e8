#pragma once
// Mailboxes: the rules above the store: names (RFC 9051 §5.1, protocols.md §1.8), special mailboxes, quota, what is
// derived of a message. Shared by IMAP, POP3, LMTP and REST. Threads: every call may come from any thread.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "accounts/accounts.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "mime/imap_structure.hpp"
#include "store/mail_store.hpp"

namespace mallard::mailboxes {

struct Policy {
    std::size_t depth_max = 128;       // levels of a path
    std::size_t name_units_max = 512;  // UTF-16 units per level
    std::size_t mailboxes_max = 1500;  // per user
    std::uint64_t message_bytes_max = 64ull * 1024 * 1024;
};

// One leading and one trailing '/' cut, first level INBOX upper-cased. invalid: empty, "//", controls, too long, too
// deep.
Result<std::string> normalize_path(std::string_view path, Policy const& policy);

enum class Source { imap, lmtp, api, import_, submission };  // meta.source and metrics

struct AppendRequest {
    UserId user;
    MailboxId mailbox;
    std::string_view path = {};          // not empty: the user's mailbox of this path instead
    std::string_view source;             // the bytes
    mime::Entity const* tree = nullptr;  // of `source`, when it is at hand; none: append() parses
    std::size_t trace_bytes = 0;         // of `source`: put in front by delivery, and no part of the size limit
    store::Flags flags;
    std::optional<TimeMs> internal_date;  // none: now
    Source via = Source::imap;
    std::string meta;                         // BSON document (storage.md §4.3) or empty
    bool check_quota = true;                  // over_quota when used + size > quota
    accounts::User const* account = nullptr;  // the user's, when it is at hand; none: append() asks for it
};

class Mailboxes {
public:
    Mailboxes(store::MailStore& store, accounts::Accounts& accounts, Clock const& clock, Policy policy = {});
    ~Mailboxes();

    store::MailStore& store();
    Policy const& policy() const;

    // Folders. Errors: invalid, not_found, already_exists, denied (INBOX, special), limit.
    Result<std::vector<store::MailboxInfo>> list(UserId user) const;  // sorted: INBOX first, parents before children
    Result<store::MailboxInfo> find(UserId user, std::string_view path) const;
    Result<store::MailboxInfo> get(UserId user, MailboxId id) const;  // not_found also when it is another user's
    Result<store::MailboxInfo> find_special(UserId user, std::string_view special_use) const;
    // A retention of 0 becomes the user's.
    Result<store::MailboxInfo> create(UserId user, std::string_view path, store::MailboxInfo settings = {});
    // IMAP RENAME: children follow (RFC 9051 §6.3.6). docs/decisions/0010-rename.md
    Result<store::MailboxInfo> rename(UserId user, MailboxId id, std::string_view path);
    // REST: a path in the patch renames this mailbox alone (api.md §14: children are not renamed).
    Result<store::MailboxInfo> update(UserId user, MailboxId id, store::MailboxPatch const& patch);
    Result<void> erase(UserId user, MailboxId id);

    // Messages. The caller has checked that the mailbox is the user's.
    Result<store::Snapshot> snapshot(MailboxId id) const;
    Result<store::Appended> append(AppendRequest const& request);
    Result<store::FlagsChanged> change_flags(MailboxId id, store::UidSet const& uids, store::FlagChange const& change);
    Result<store::Copied> copy(UserId user, MailboxId from, store::UidSet const& uids, MailboxId to);  // over_quota
    Result<store::Copied> move(UserId user, MailboxId from, store::UidSet const& uids, MailboxId to);
    // api.md §15.4: custom metadata, and a time to go instead of the mailbox's retention.
    Result<store::UidSet> patch(MailboxId id, store::UidSet const& uids, store::MessagePatch const& patch);
    Result<store::UidSet> expunge(MailboxId id, store::UidSet const& uids, bool only_deleted);

    // The user's storage left, bytes (may be negative).
    Result<std::int64_t> quota_left(UserId user) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// What append() derives of a message, for tests and engines that rebuild it.
// The tree (and with it the views into `source`) must outlive the result.
//
// record.info is a BSON document with what REST lists and shows (api.md §15.1, §15.2) without parsing the bytes. Keys
// are absent when there is nothing to say:
//   subject, messageId ("<...>"), inReplyTo, references [string], intro        strings, decoded UTF-8
//   from, sender, replyTo, to, cc, bcc    [{address, name} | {name, group: [{address, name}]}]
//   hdate Date                            only when the Date: header could be read
//   list {id: {name, address}, unsubscribe: [{name, address}]}
//   contentType {value, params?: {}}
//   encrypted true                        multipart/encrypted, application/pkcs7-mime enveloped
//   ha bool                               an attachment outside multipart/related
//   attachments [{id, filename, contentType, disposition (string | false), transferEncoding, cid?, related, size,
//   sizeKb,
//                 begin, end}]            begin and end: offsets of the encoded body in the source
store::NewMessage derive(std::string_view source, mime::Entity const& tree, store::Flags flags, TimeMs internal_date,
                         std::string meta);

// The indexed header fields of MessageRecord::headers: lower-cased decoded values, for SEARCH.
struct IndexedHeader {
    std::string key;    // lower case
    std::string value;  // case-folded UTF-8
};
// A header with an empty key says that not all values are here (cut, damaged): search then reads the message.
std::string encode_headers(std::vector<IndexedHeader> const& headers);
std::vector<IndexedHeader> decode_headers(std::string_view encoded);

}  // namespace mallard::mailboxes
