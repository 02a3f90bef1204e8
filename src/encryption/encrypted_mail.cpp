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

std::string outer_fields(mime::Entity const& tree) {
    std::string out;
    for (auto const& field : tree.fields)
        if (is_kept(field.name)) out += field_text(field);
    return out + "MIME-Version: 1.0\r\n";
}

// RFC 3156 §4
Result<void> write_pgp(std::string_view source, std::string_view key, Spool& spool) {
    std::string const boundary = "nm_" + random_hex(14);
    MALLARD_TRY(spool.append(
        "Content-Type: multipart/encrypted; protocol=\"application/pgp-encrypted\";\r\n boundary=\"" + boundary +
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
        "\r\n"));
    MALLARD_TRY(encrypt(key, source, [&](std::string_view piece) { return spool.append(piece); }));
    return spool.append("\r\n--" + boundary + "--\r\n");
}

// base64 in lines of 76 characters (RFC 2045 §6.8).
class Base64Lines {
public:
    explicit Base64Lines(Spool& spool) : spool_(spool) {}
    Result<void> write(std::string_view octets) {
        waiting_ += octets;
        std::size_t const whole = waiting_.size() / line_octets * line_octets;
        MALLARD_TRY(put(std::string_view(waiting_).substr(0, whole)));
        waiting_.erase(0, whole);
        return {};
    }
    Result<void> finish() { return put(waiting_); }

private:
    static constexpr std::size_t line_octets = 57;

    Result<void> put(std::string_view octets) {
        std::string lines;
        for (; !octets.empty(); octets.remove_prefix(std::min(line_octets, octets.size())))
            lines += base64_encode(octets.substr(0, line_octets)) + "\r\n";
        return spool_.append(lines);
    }

    Spool& spool_;
    std::string waiting_;
};

// RFC 8551 §3.3, §3.4
Result<void> write_smime(std::string_view source, Owner const& owner, Spool& spool) {
    MALLARD_TRY(spool.append(std::string("Content-Type: application/pkcs7-mime; smime-type=") +
                             (owner.form.gcm ? "authEnveloped-data" : "enveloped-data") +
                             ";\r\n name=smime.p7m\r\n"
                             "Content-Disposition: attachment; filename=smime.p7m\r\n"
                             "Content-Transfer-Encoding: base64\r\n"
                             "\r\n"));
    Base64Lines lines(spool);
    MALLARD_TRY(
        envelop(owner.certificates, owner.form, source, [&](std::string_view piece) { return lines.write(piece); }));
    return lines.finish();
}

}  // namespace

Result<Spool> encrypt_mail(std::string_view source, mime::Entity const& tree, Owner const& owner) {
    Spool spool;
    MALLARD_TRY(spool.append(outer_fields(tree)));
    MALLARD_TRY(owner.certificates.empty() ? write_pgp(source, owner.pgp_key, spool)
                                           : write_smime(source, owner, spool));
    MALLARD_TRY(spool.finish());
    return spool;
}

}  // namespace mallard::encryption
