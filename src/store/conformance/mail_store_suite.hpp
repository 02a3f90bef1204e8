#pragma once
// MailStoreSuite: what every engine's MailStore does. The tests lie in mail_store_*_suite.cpp, one behaviour each.

#include <string>
#include <vector>

#include "mime/message.hpp"
#include "store/conformance/backend.hpp"

namespace mallard::store::conformance {

class MailStoreSuite : public BackendSuite {
protected:
    MailStore& mail() { return backend->mail(); }

    MailboxInfo make_mailbox(std::string path = "INBOX");
    MailboxInfo make_mailbox(UserId user, std::string path);
    // A message that says `text`; `record` in all fields of its record.
    static std::string message(std::string_view text);
    static NewMessage as_new(std::string_view source, mime::Entity const* tree = nullptr);
    Result<Appended> append(MailboxId mailbox, std::string_view source, Flags flags = {});
    std::vector<Appended> append_many(MailboxId mailbox, std::size_t count);

    Snapshot snapshot(MailboxId mailbox);
    std::string body_of(MailboxId mailbox, Uid uid);  // by BodyReader, in odd steps
    static UidSet all() { return {{1, UINT32_MAX}}; }
    static std::vector<Uid> uids(MailboxIndex const& index);
    Flags flags_of(MailboxId mailbox, Uid uid);
    void drain();              // sweeps until there is nothing more to do
    void expect_invariants();  // check() finds nothing, before and after the sweep

    UserId const user = UserId::generate();
};

// A multipart message with one base64 attachment of about `octets`, whose content follows from `seed`.
std::string with_attachment(std::size_t octets, unsigned seed, std::string_view text = "See the attachment.");
// Octets that do not compress.
std::string noise(std::size_t octets, unsigned seed);

}  // namespace mallard::store::conformance
