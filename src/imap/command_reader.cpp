#include "imap/command_reader.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace mallard::imap {

namespace {

using imap_proto::LiteralMarker;

constexpr std::uint64_t small_bytes = 1024;                   // imap_proto::Limits::literal_bytes_max
constexpr std::uint64_t drop_bytes_before_login = 64 * 1024;  // of refused literals; more, and the connection ends

// Why a literal cannot be taken; protocols.md §1.2.
std::optional<Outcome> refuse_literal(LiteralMarker const& marker, Incoming const& command, Session const& session,
                                      ImapConfig const& config) {
    if (auto refused = session.refuse(command.head.name)) return refused;
    if (!marker.valid) return bad("Invalid literal size");
    if (command.raw.literals.size() >= imap_proto::Limits{}.literals_max) return bad("Too many literals");
    std::uint64_t const most = std::max<std::uint64_t>(config.append_bytes_max(), 1 << 20);
    bool const append = command.head.name == "APPEND";
    if (marker.size > most && append)
        return no("TOOBIG",
                  fmt::format("Message size exceeds allowed limit: attempted {} bytes, but maximum allowed is {} "
                              "bytes.",
                              marker.size, most));
    if (marker.size > most) return no("TOOBIG", "Literal too large");
    if (marker.size > small_bytes && !append) return no("", "Literal too large");
    return std::nullopt;
}

net::Async<Result<void>> read_literal(net::Connection& connection, LiteralMarker const& marker,
                                      ImapConfig const& config, imap_proto::RawCommand& raw) {
    imap_proto::Literal literal;
    literal.binary = marker.binary;
    auto spool = std::make_shared<Spool>();
    connection.expires_after(config.command_timeout);
    if (auto read = co_await connection.read_exactly(marker.size, *spool); !read) co_return read;
    if (auto done = spool->finish(); !done) co_return done;
    if (marker.size <= small_bytes)
        literal.text = spool->view();
    else
        literal.spool = std::move(spool);
    raw.literals.push_back(std::move(literal));
    co_return Result<void>();
}

// Drops the octets of a refused literal that will come whether we want them or not. False: too many.
net::Async<Result<bool>> drop_literal(net::Connection& connection, LiteralMarker const& marker, Session const& session,
                                      ImapConfig const& config) {
    std::uint64_t const most =
        session.state() == State::not_authenticated ? drop_bytes_before_login : 2 * config.append_bytes_max();
    if (!marker.valid || marker.size > most) co_return false;
    connection.expires_after(config.command_timeout);
    if (auto dropped = co_await connection.discard(marker.size); !dropped) co_return std::unexpected(dropped.error());
    co_return true;
}

}  // namespace

net::Async<Result<Incoming>> read_command(net::Dialogue& dialogue, Session const& session, ImapConfig const& config) {
    net::Connection& connection = dialogue.connection;
    Incoming out;
    std::size_t line_bytes = 0;
    bool first = true;
    while (true) {
        connection.expires_after(config.command_timeout);
        std::size_t const left = config.max_line_length - std::min(line_bytes, config.max_line_length);
        auto line = co_await connection.read_line(left, net::LineEnd::crlf_or_lf);
        if (!line && line.error().kind != ErrorKind::too_large) co_return std::unexpected(line.error());
        if (!line) {  // the rest of the line has been dropped; without its end nobody knows of a literal there
            out.head.tag.clear();
            out.counts = out.refused.has_value();
            if (!out.refused) out.refused = bad("Command line too long");
            co_return out;
        }
        line_bytes += line->size();
        if (std::exchange(first, false)) {
            if (auto head = imap_proto::parse_head(*line))
                out.head = std::move(*head);
            else
                out.refused = bad("Invalid tag");
        }
        auto const marker = imap_proto::literal_marker(*line);
        if (!out.refused) out.raw.text += *line;
        if (!marker) co_return out;
        if (!out.refused) {
            out.raw.text += '\n';
            out.refused = refuse_literal(*marker, out, session, config);
        }
        if (out.refused) {
            if (marker->synchronizing) co_return out;  // the client waits, and gets the refusal
            auto dropped = co_await drop_literal(connection, *marker, session, config);
            if (!dropped) co_return std::unexpected(dropped.error());
            out.close = !*dropped;
            if (out.close) co_return out;
            continue;
        }
        if (marker->synchronizing) {
            dialogue.pending += "+ Go ahead\r\n";
            if (auto written = co_await dialogue.flush(config.write_timeout); !written)
                co_return std::unexpected(written.error());
        }
        if (auto read = co_await read_literal(connection, *marker, config, out.raw); !read) {
            if (read.error().kind != ErrorKind::io) co_return std::unexpected(read.error());
            out.refused = no("TEMPFAIL", "No space for the literal");  // its octets have been read and dropped
        }
    }
}

}  // namespace mallard::imap
