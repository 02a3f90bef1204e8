#include "migrate/source_reader.hpp"

#include <algorithm>

namespace mallard::migrate {

namespace {

constexpr std::size_t portion_messages_max = 100;
constexpr std::uint64_t portion_octets_max = 8 * 1024 * 1024;

}  // namespace

Result<std::vector<ReadMessage>> read_messages(store::MailStore& mail, MailboxId mailbox,
                                               std::span<store::Row const* const> rows) {
    std::vector<ReadMessage> messages(rows.size());
    std::vector<bool> whole(rows.size());
    MALLARD_TRY(mail.records(mailbox, rows, store::want_all, [&](std::size_t n, store::MessageRecord const& record) {
        messages[n].row = rows[n];
        messages[n].record = record;
    }));
    MALLARD_TRY(mail.bodies(mailbox, rows, [&](std::size_t n, std::optional<std::string_view> bytes) {
        if (!bytes) return;
        messages[n].text_ = *bytes;
        whole[n] = true;
    }));
    for (std::size_t n = 0; n < rows.size(); ++n) {
        if (!messages[n].row || whole[n]) continue;
        auto reader = mail.body(mailbox, *rows[n]);
        if (!reader && reader.error().kind == ErrorKind::not_found) {  // expunged meanwhile
            messages[n].row = nullptr;
            continue;
        }
        if (!reader) return std::unexpected(reader.error());
        auto& spool = messages[n].spool_.emplace();
        std::string piece;
        for (std::uint64_t at = 0; at < (*reader)->size(); at += piece.size()) {
            piece.clear();
            MALLARD_TRY((*reader)->read(at, store::MailStore::body_batch_max, piece));
            if (piece.empty()) return fail(ErrorKind::corrupt, "A stored message is shorter than it says");
            MALLARD_TRY(spool.append(piece));
        }
        MALLARD_TRY(spool.finish());
    }
    std::erase_if(messages, [](auto const& message) { return message.row == nullptr; });
    return messages;
}

Result<void> in_portions(std::span<store::Row const* const> rows,
                         std::function<Result<void>(std::span<store::Row const* const>)> const& visit) {
    while (!rows.empty()) {
        std::size_t n = 1;
        std::uint64_t octets = rows[0]->size;
        while (n < std::min(rows.size(), portion_messages_max) && octets + rows[n]->size <= portion_octets_max)
            octets += rows[n++]->size;
        MALLARD_TRY(visit(rows.first(n)));
        rows = rows.subspan(n);
    }
    return {};
}

}  // namespace mallard::migrate
