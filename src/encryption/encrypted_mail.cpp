#include "encryption/encrypted_mail.hpp"

#include <algorithm>
#include <string>

#include "base/encoding.hpp"
#include "base/random.hpp"
#include "encryption/pgp_key.hpp"

namespace mallard::encryption {

namespace {

constexpr std::string_view kept_fields[] = {"date",       "subject",       "from",           "to",
                                            "message-id", "bimi-location", "bimi-indicator", "authentication-results",
                                            "references", "in-reply-to"};

bool is_kept(std::string_view name) {
    return std::ranges::any_of(kept_fields, [&](std::string_view kept) { return iequals(kept, name); });
}

// With CRLF, whatever ended its lines.
std::string field_text(mime::Field const& field) {
    std::string out = std::string(field.name) + ":";
    for (char const c : field.value) {
        if (c == '\n' && !out.ends_with('\r')) out += '\r';
        out += c;
    }
    return out + "\r\n";
}

}  // namespace

// RFC 3156 §4
Result<Spool> encrypt_mail(std::string_view source, mime::Entity const& tree, std::string_view armored_key) {
    std::string const boundary = "nm_" + random_hex(14);
    std::string head;
    for (auto const& field : tree.fields)
        if (is_kept(field.name)) head += field_text(field);
    head +=
        "MIME-Version: 1.0\r\n"
        "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n boundary=\"" +
        boundary +
        "\"\r\n"
        "Content-Description: OpenPGP encrypted message\r\n"
        "\r\n"
        "This message is encrypted with OpenPGP\r\n"
        "\r\n--" +
        boundary +
        "\r\n"
        "Content-Type: application/pgp-encrypted\r\n"
        "\r\n"
        "Version: 1\r\n"
        "\r\n--" +
        boundary +
        "\r\n"
        "Content-Type: application/octet-stream; name=encrypted.asc\r\n"
        "Content-Disposition: inline; filename=encrypted.asc\r\n"
        "\r\n";
    Spool spool;
    MALLARD_TRY(spool.append(head));
    MALLARD_TRY(encrypt(armored_key, source, [&](std::string_view piece) { return spool.append(piece); }));
    MALLARD_TRY(spool.append("\r\n--" + boundary + "--\r\n"));
    MALLARD_TRY(spool.finish());
    return spool;
}

}  // namespace mallard::encryption
