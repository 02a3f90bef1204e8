#pragma once
// Transcripts: what a client says and what the server answers, one scenario a file; a new case needs no C++.
//
//   # RFC 2033 §4.2: one reply for each recipient        a comment
//   ! user alice@example.com secret quota=1000           what the world is like; the protocol's adapter knows the words
//   C: MAIL FROM:<a@example.org>                         a line of the client; CRLF is added
//   S: 250 2.1.0 Accepted                                the server's next line, exactly
//   S: +OK <any> ready                                   <any>: any text; <id>: 24 hex digits
//   = text                                               checks the world afterwards, in the adapter's words
//
// With several sessions (IMAP) the lines carry a number: C1: S1: C2: S2:. What a session says without being asked is
// expected like everything else.
//
// Escapes in C: and S: \r \n \t \0 \\ \xHH, and \c at the end of a C: line: no CRLF is added. Lines of the client that
// follow each other are sent at once (pipelining). Whatever the server says must be in the transcript.

#include <memory>
#include <string>
#include <string_view>

namespace mallard::transcripts {

class Adapter {
public:
    virtual ~Adapter() = default;
    // "!" lines; an empty result: done, else what is wrong with them.
    virtual std::string prepare(std::string_view words) = 0;
    // Sends bytes and returns all that the server answered. First called with nothing: the greeting.
    virtual std::string send(std::string_view bytes) = 0;
    // The same for one of several sessions, 1 to 9; 0 is the only one of a transcript without numbers.
    virtual std::string send_to(int /*session*/, std::string_view bytes) { return send(bytes); }
    // "=" lines; an empty result: so it is, else how it is.
    virtual std::string check(std::string_view words) = 0;
};

// Runs one file; reports each difference to GoogleTest with file and line.
void run(std::string const& file, Adapter& adapter);

// Registers one test per *.txt of tests/transcripts/<folder>, named <suite>.<file>.
void register_folder(std::string const& suite, std::string const& folder, std::unique_ptr<Adapter> (*make)());

}  // namespace mallard::transcripts
