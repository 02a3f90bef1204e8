// Any byte sequence is a message: its tree is sound, what is derived of it is well-formed.

#include <cstdint>
#include <string_view>

#include "base/encoding.hpp"
#include "check.hpp"
#include "mime/imap_structure.hpp"
#include "mime/message.hpp"
#include "mime/summary.hpp"
#include "support/imap_wire.hpp"
#include "support/mime_tree.hpp"

using namespace mallard;

namespace {

bool same(mime::Entity const& entity, mime::Part const& part) {
    if (entity.header_begin != part.header_begin || entity.body_begin != part.body_begin || entity.end != part.end ||
        entity.is_multipart != part.is_multipart || entity.is_message != part.is_message ||
        (entity.type == "text") != part.is_text || entity.children.size() != part.children.size())
        return false;
    for (std::size_t i = 0; i < part.children.size(); ++i)
        if (!same(entity.children[i], part.children[i])) return false;
    return true;
}

void check_summary(mime::Entity const& root, std::string_view source) {
    constexpr std::size_t text_bytes_max = 10'000;
    mime::Summary const summary = mime::summarize(root, source);
    for (std::string const* text : {&summary.subject, &summary.message_id, &summary.in_reply_to, &summary.date,
                                    &summary.intro, &summary.list_id, &summary.list_unsubscribe, &summary.content_type})
        MALLARD_FUZZ_CHECK(is_valid_utf8(*text));
    for (mime::Attachment const& attachment : summary.attachments) {
        MALLARD_FUZZ_CHECK(attachment.begin < attachment.end && attachment.end <= source.size());
        MALLARD_FUZZ_CHECK(is_valid_utf8(attachment.filename) && !attachment.filename.empty());
        MALLARD_FUZZ_CHECK(is_valid_utf8(attachment.content_type) && is_valid_utf8(attachment.content_id));
    }
    mime::Texts const texts = mime::texts(root, source, text_bytes_max);
    MALLARD_FUZZ_CHECK(texts.text.size() <= text_bytes_max && is_valid_utf8(texts.text));
    std::size_t html = 0;
    for (std::string const& part : texts.html) {
        MALLARD_FUZZ_CHECK(is_valid_utf8(part));
        html += part.size();
    }
    MALLARD_FUZZ_CHECK(html <= text_bytes_max);
    std::string const subject = mime::thread_subject(summary.subject);
    MALLARD_FUZZ_CHECK(mime::thread_subject(subject) == subject);
    MALLARD_FUZZ_CHECK(mime::thread_refs(root, source).size() <= 10);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    std::string_view const source(reinterpret_cast<char const*>(data), size);
    mime::Entity const root = mime::parse(source);
    MALLARD_FUZZ_CHECK(test::find_fault(root, source) == "");
    MALLARD_FUZZ_CHECK(test::is_envelope(mime::envelope(root, source)));
    MALLARD_FUZZ_CHECK(test::is_body(mime::body(root, source), false));
    MALLARD_FUZZ_CHECK(test::is_body(mime::body_structure(root, source), true));
    MALLARD_FUZZ_CHECK(same(root, mime::decode_parts(mime::encode_parts(root))));
    mime::decode_parts(source);  // damaged encodings are read from disk
    check_summary(root, source);
    return 0;
}
