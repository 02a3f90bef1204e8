#include "store/embedded/record_codec.hpp"

#include <array>

#include "store/embedded/codec.hpp"

namespace mallard::store::embedded {

namespace {

constexpr std::size_t section_count = 7;

// In the order of RecordField's bits. Never reorder.
template <class Record>
auto sections(Record& record) {
    return std::array{&record.envelope, &record.body, &record.body_structure, &record.parts, &record.headers,
                      &record.info,     &record.meta};
}

std::unexpected<Error> damaged(std::string_view what) {
    return fail(ErrorKind::corrupt, "Stored data is damaged; run the check command", std::string(what));
}

}  // namespace

std::string encode_record(MessageRecord const& record) {
    std::string out;
    std::size_t total = 64;
    for (auto const* section : sections(record)) total += section->size();
    out.reserve(total);
    out.push_back(1);  // form
    out.append(record.thread.view());
    put_varint(out, zigzag(record.header_date));
    for (auto const* section : sections(record)) put_varint(out, section->size());
    for (auto const* section : sections(record)) out.append(*section);
    return out;
}

Result<void> decode_record(std::string_view bytes, unsigned fields, MessageRecord& record) {
    ByteReader in(bytes);
    if (in.byte() != 1) return damaged("record: form");
    record.thread = ThreadId(in.id());
    record.header_date = unzigzag(in.varint());
    std::array<std::uint64_t, section_count> sizes{};
    for (auto& size : sizes) size = in.varint();
    auto const into = sections(record);
    for (std::size_t i = 0; i < section_count; ++i) {
        auto const section = in.bytes(sizes[i]);
        if (fields & 1u << i)
            into[i]->assign(section);
        else
            into[i]->clear();
    }
    if (!in.ok() || !in.at_end()) return damaged("record: sections");
    return {};
}

std::string encode_mailbox(MailboxInfo const& info) {
    std::string out;
    out.push_back(1);  // form
    out.append(info.user.view());
    put_text(out, info.path);
    put_text(out, info.special_use);
    put_varint(out, info.uid_validity);
    out.push_back(static_cast<char>(info.subscribed | info.hidden << 1 | info.encrypt_messages << 2));
    put_varint(out, zigzag(info.retention_ms));
    put_text(out, info.meta);
    return out;
}

Result<MailboxInfo> decode_mailbox(MailboxId id, std::string_view bytes) {
    ByteReader in(bytes);
    if (in.byte() != 1) return damaged("mailbox: form");
    MailboxInfo info;
    info.id = id;
    info.user = UserId(in.id());
    info.path = in.text();
    info.special_use = in.text();
    info.uid_validity = static_cast<std::uint32_t>(in.varint());
    std::uint8_t const bits = in.byte();
    info.subscribed = bits & 1;
    info.hidden = bits & 2;
    info.encrypt_messages = bits & 4;
    info.retention_ms = unzigzag(in.varint());
    info.meta = in.text();
    if (!in.ok() || !in.at_end()) return damaged("mailbox");
    return info;
}

}  // namespace mallard::store::embedded
