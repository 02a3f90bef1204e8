#include "mailboxes/sealing.hpp"

#include <algorithm>
#include <memory>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "mailboxes/mailboxes.hpp"

namespace mallard::mailboxes {

namespace {

constexpr std::size_t piece_bytes = 256 * 1024;

Result<Spool> whole_of(store::MailStore& store, MailboxId mailbox, store::Row const& row) {
    MALLARD_TRY_ASSIGN(auto const reader, store.body(mailbox, row));
    Spool spool;
    for (std::uint64_t at = 0; at < reader->size(); at += piece_bytes) {
        std::string piece;
        MALLARD_TRY(reader->read(at, piece_bytes, piece));
        MALLARD_TRY(spool.append(piece));
    }
    MALLARD_TRY(spool.finish());
    return spool;
}

// A mailbox's messages on their way into another one.
class Transfer {
public:
    Transfer(store::MailStore& store, encryption::Owner const& owner, MailboxId from, MailboxId to, bool is_move)
        : store_(store), owner_(owner), from_(from), to_(to), is_move_(is_move) {}

    Result<void> run(store::MailboxIndex const& index, store::UidSet const& uids) {
        std::vector<store::Row const*> rows;
        index.for_uids(uids, [&](std::uint32_t, store::Row const& row) { rows.push_back(&row); });
        for (auto const* row : rows) {
            auto const done = one(index, *row);
            if (!done && done.error().kind != ErrorKind::not_found) return done;  // expunged meanwhile: left out
        }
        return {};
    }
    store::Copied& copied() { return copied_; }

private:
    Result<void> one(store::MailboxIndex const& index, store::Row const& row) {
        if (row.system & store::draft) return as_it_is(row);
        MALLARD_TRY_ASSIGN(auto const clear, whole_of(store_, from_, row));
        MALLARD_TRY_ASSIGN(auto const spool, encrypt_for(owner_, clear.view(), mime::parse(clear.view())));
        if (!spool) return as_it_is(row);
        std::string meta;
        store::Row const* const rows[] = {&row};
        MALLARD_TRY(store_.records(from_, rows, store::want_meta,
                                   [&](std::size_t, store::MessageRecord const& record) { meta = record.meta; }));
        auto const tree = mime::parse(spool->view());
        MALLARD_TRY_ASSIGN(auto const appended,
                           store_.append(to_, derive(spool->view(), tree, index.flags(row), row.internal_date, meta)));
        note(row.uid, appended.uid);
        if (is_move_) MALLARD_TRY(store_.expunge(from_, {{row.uid, row.uid}}, false));
        return {};
    }

    Result<void> as_it_is(store::Row const& row) {
        store::UidSet const uid{{row.uid, row.uid}};
        MALLARD_TRY_ASSIGN(auto const done, is_move_ ? store_.move(from_, uid, to_) : store_.copy(from_, uid, to_));
        if (!done.target.empty()) note(row.uid, done.target.ranges().front().first);
        return {};
    }

    void note(store::Uid source, store::Uid target) {
        copied_.source.add(source, source);
        copied_.target.add(target, target);
    }

    store::MailStore& store_;
    encryption::Owner const& owner_;
    MailboxId from_, to_;
    bool is_move_;
    store::Copied copied_;
};

}  // namespace

bool is_encrypted(mime::Entity const& tree) {
    if (tree.type == "multipart" && tree.subtype == "encrypted") return true;
    if (tree.type != "application" || (tree.subtype != "pkcs7-mime" && tree.subtype != "x-pkcs7-mime")) return false;
    std::string const* kind = tree.parameter("smime-type");
    return kind && (iequals(*kind, "enveloped-data") || iequals(*kind, "authEnveloped-data"));
}

bool has_key(accounts::User const& account) { return !account.pub_key.empty() || !account.smime_certs.empty(); }

encryption::Owner owner_of(accounts::User const& account) {
    return {.pgp_key = account.pub_key,
            .certificates = account.smime_certs,
            .form = {.gcm = account.smime_cipher == "AES-GCM", .oaep = account.smime_key_transport == "OAEP"}};
}

bool is_for_owner_only(accounts::User const& account, store::MailboxInfo const& target, Arrival arrival) {
    bool const is_wanted = target.encrypt_messages || (account.encrypt_messages && arrival == Arrival::from_outside);
    return is_wanted && target.special_use != "\\Drafts";
}

Result<std::optional<Spool>> encrypt_for(encryption::Owner const& owner, std::string_view source,
                                         mime::Entity const& tree) {
    if (is_encrypted(tree)) return std::nullopt;
    auto spool = encryption::encrypt_mail(source, tree, owner);
    if (spool) return std::move(*spool);
    log(LogLevel::error, {.component = "mailboxes"}, "[ENCRYPTFAIL]", {{"error", spool.error().message}});
    return fail(ErrorKind::unavailable, "The message could not be encrypted: " + spool.error().message,
                spool.error().context);
}

Result<store::Copied> transfer_encrypted(store::MailStore& store, encryption::Owner const& owner, MailboxId from,
                                         store::UidSet const& uids, MailboxId to, bool is_move) {
    MALLARD_TRY_ASSIGN(auto const source, store.snapshot(from));
    MALLARD_TRY_ASSIGN(auto const target, store.snapshot(to));
    Transfer transfer(store, owner, from, to, is_move);
    transfer.copied().uid_validity = target->info.uid_validity;
    auto const done = transfer.run(*source, uids);
    if (!done && !is_move) (void)store.expunge(to, transfer.copied().target, false);
    MALLARD_TRY(done);
    return transfer.copied();
}

}  // namespace mallard::mailboxes
