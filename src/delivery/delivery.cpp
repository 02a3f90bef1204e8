#include "delivery/delivery.hpp"

#include <algorithm>
#include <mutex>
#include <semaphore>
#include <unordered_set>

#include "base/encoding.hpp"
#include "delivery/trace.hpp"
#include "mime/header.hpp"
#include "mime/message.hpp"
#include "store/bson.hpp"

namespace mallard::delivery {

namespace {

void shift(mime::Entity& entity, std::ptrdiff_t by) {
    entity.header_begin += static_cast<std::size_t>(by);
    entity.body_begin += static_cast<std::size_t>(by);
    entity.end += static_cast<std::size_t>(by);
    for (auto& child : entity.children) shift(child, by);
}

// The tree of one message behind a first line that changes: parsed once, then moved along with that line.
class SharedTree {
public:
    // `source` begins with a line of `line_length` octets. The bytes behind it must not change any more.
    mime::Entity const& at(std::string_view source, std::size_t line_length) {
        if (!parsed_) {
            tree_ = mime::parse(source);
            parsed_ = true;
        } else {
            shift(tree_, static_cast<std::ptrdiff_t>(line_length) - static_cast<std::ptrdiff_t>(line_length_));
            tree_.header_begin = 0;
            // Its views pointed at the line of the recipient before.
            if (auto line = mime::parse(source.substr(0, line_length)); !line.fields.empty() && !tree_.fields.empty())
                tree_.fields.front() = line.fields.front();
        }
        line_length_ = line_length;
        return tree_;
    }

private:
    mime::Entity tree_;
    std::size_t line_length_ = 0;
    bool parsed_ = false;
};

std::vector<std::string_view> received_fields(mime::Entity const& tree) {
    std::vector<std::string_view> found;
    for (auto const& field : tree.fields)
        if (iequals(field.name, "Received")) found.push_back(field.value);
    return found;
}

// storage.md §4.3: what is remembered of how the message came.
bson::Document meta_of(Envelope const& envelope, std::vector<std::string_view> const& received, TimeMs now) {
    ReceivedFacts before;
    if (received.size() > 1) before = read_received(mime::unfold(received[1].substr(0, 4096)));  // [0] is our own
    bson::Document meta{
        {"transactionId", envelope.transaction},
        {"source", "MX"},
        {"from", envelope.sender},
        {"to", bson::Array{}},
        {"origin", before.origin.empty() ? envelope.client_address : before.origin},
        {"originhost", envelope.client_host},
        {"transhost", envelope.client_name},
        {"transtype", before.transtype.empty() ? envelope.protocol : before.transtype},
        {"time", bson::Date{now}},
    };
    if (!before.queue_id.empty()) meta.set("queueId", before.queue_id);
    return meta;
}

class SlotHolder {
public:
    explicit SlotHolder(std::counting_semaphore<>* slots) : slots_(slots) {
        if (slots_) slots_->acquire();
    }
    ~SlotHolder() {
        if (slots_) slots_->release();
    }
    SlotHolder(SlotHolder const&) = delete;
    SlotHolder& operator=(SlotHolder const&) = delete;

private:
    std::counting_semaphore<>* slots_;
};

}  // namespace

struct Delivery::Impl {
    accounts::Accounts& accounts;
    mailboxes::Mailboxes& mailboxes;
    Clock const& clock;
    std::counting_semaphore<> large_slots{large_at_once};

    // Users whose storage counter was asked for before, and so lies in memory.
    static constexpr std::size_t counted_max = 50'000;
    std::mutex counted_mutex;
    std::unordered_set<UserId> counted;

    bool is_counted(UserId user) {
        std::lock_guard const lock(counted_mutex);
        return counted.contains(user);
    }
    void note_counted(UserId user) {
        std::lock_guard const lock(counted_mutex);
        if (counted.size() >= counted_max) counted.clear();
        counted.insert(user);
    }

    Outcome store(Recipient const& recipient, std::string_view source, mime::Entity const& tree,
                  std::size_t trace_bytes, TimeMs now, bson::Document& meta);
};

Delivery::Delivery(accounts::Accounts& accounts, mailboxes::Mailboxes& mailboxes, Clock const& clock)
    : impl_(new Impl{accounts, mailboxes, clock}) {}

Delivery::~Delivery() = default;

Result<Recipient> Delivery::recipient(std::string_view address, std::uint64_t size) const {
    auto unknown = [] { return fail(ErrorKind::not_found, "Unknown recipient"); };
    if (address.substr(0, address.rfind('@')).contains('*')) return unknown();  // that names a wildcard row itself
    // Deviation: WildDuck's LMTP does not look at wildcard addresses (protocols.md §3); its MX does, and one server has
    // one set of addresses: docs/decisions/0011-lmtp.md.
    MALLARD_TRY_ASSIGN(auto receiver, impl_->accounts.receiver(address, true));
    if (!receiver) return unknown();
    accounts::User const& user = receiver->user;
    if (user.disabled || user.suspended) return fail(ErrorKind::denied, "Mailbox disabled, not accepting messages");
    impl_->note_counted(user.id);
    std::int64_t const left = impl_->accounts.quota_of(user) - receiver->storage_used;
    if (left <= 0 || static_cast<std::uint64_t>(left) < size) return fail(ErrorKind::over_quota, "Mailbox full");
    UserId const id = user.id;
    return Recipient{std::string(address), id, std::make_shared<accounts::User const>(std::move(receiver->user))};
}

bool Delivery::is_at_hand(std::string_view address) const {
    auto const user = impl_->accounts.at_hand(address, true);
    return user && impl_->is_counted(*user);
}

Incoming Delivery::begin(Envelope const& envelope, std::vector<Recipient> const& recipients) const {
    Incoming incoming;
    for (auto const& recipient : recipients)
        incoming.room = std::max(incoming.room, delivered_to_line(recipient).size());
    Recipient const* only = recipients.size() == 1 ? &recipients.front() : nullptr;
    std::string const front = std::string(incoming.room, ' ') + shared_trace(envelope, only, impl_->clock.now());
    incoming.message = front.size();
    static_cast<void>(incoming.spool.append(front));  // far below what goes to the disk
    return incoming;
}

Outcome Delivery::Impl::store(Recipient const& recipient, std::string_view source, mime::Entity const& tree,
                              std::size_t trace_bytes, TimeMs now, bson::Document& meta) {
    constexpr std::string_view inbox = "INBOX";
    meta.set("to", bson::Array{recipient.address});
    auto stored = mailboxes.append({.user = recipient.user,
                                    .path = inbox,
                                    .source = source,
                                    .tree = &tree,
                                    .trace_bytes = trace_bytes,
                                    .internal_date = now,
                                    .via = mailboxes::Source::lmtp,
                                    .meta = meta.encode(),
                                    .account = recipient.account.get()});
    // RCPT found the user: that there is no INBOX is our fault, and may pass.
    if (!stored && stored.error().kind == ErrorKind::not_found)
        stored = fail(ErrorKind::unavailable, "The mailbox cannot be opened now; try again later", "no INBOX");
    return {.stored = std::move(stored), .mailbox_path = std::string(inbox)};
}

std::vector<Outcome> Delivery::deliver(Envelope const& envelope, std::vector<Recipient> const& recipients,
                                       Incoming& incoming) {
    std::string_view const whole = incoming.spool.view();
    SlotHolder const slot(whole.size() >= large_bytes ? &impl_->large_slots : nullptr);
    TimeMs const now = impl_->clock.now();
    std::span<char> const room = incoming.spool.front(incoming.room);
    SharedTree shared;
    std::optional<bson::Document> meta;
    bool loop = false;
    std::vector<Outcome> outcomes;
    for (auto const& recipient : recipients) {
        auto const before = std::ranges::find(recipients, recipient.user, &Recipient::user);
        if (auto const n = static_cast<std::size_t>(before - recipients.begin()); n < outcomes.size()) {
            outcomes.push_back(outcomes[n]);
            outcomes.back().duplicate = outcomes[n].stored.has_value();
            continue;
        }
        std::string const line = delivered_to_line(recipient);
        std::ranges::copy(line, room.end() - static_cast<std::ptrdiff_t>(line.size()));
        std::string_view const source = whole.substr(incoming.room - line.size());
        mime::Entity const& tree = shared.at(source, line.size());
        if (!meta) {
            auto const received = received_fields(tree);
            loop = received.size() > received_fields_max + 1;  // our own is no hop too many
            meta = meta_of(envelope, received, now);
        }
        if (loop)
            outcomes.push_back(
                {.stored = fail(ErrorKind::limit, "Too many Received fields: this is a mail loop"), .loop = true});
        else
            outcomes.push_back(
                impl_->store(recipient, source, tree, incoming.message - incoming.room + line.size(), now, *meta));
    }
    return outcomes;
}

std::vector<Outcome> Delivery::deliver(Envelope const& envelope, std::vector<Recipient> const& recipients,
                                       std::string_view message) {
    Incoming incoming = begin(envelope, recipients);
    auto spooled = incoming.spool.append(message);
    if (spooled) spooled = incoming.spool.finish();
    if (!spooled) return std::vector<Outcome>(recipients.size(), Outcome{.stored = std::unexpected(spooled.error())});
    return deliver(envelope, recipients, incoming);
}

}  // namespace mallard::delivery
