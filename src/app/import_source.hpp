#pragma once
// Where an import comes from: Maildir (with Maildir++ or nested subfolders), mbox, a folder of .eml files, one .eml.
// Enumerates first (names only), then reads one message at a time. Pure but for the file system.

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "store/types.hpp"

namespace mallard::app {

struct ImportMessage {
    std::string bytes;  // line ends are CRLF
    store::Flags flags;
    TimeMs date = 0;
};

struct ImportFolder {
    std::string mailbox;  // path in Mallard; empty: the one given with --mailbox
    std::vector<std::string> files;
    std::uint64_t messages = 0;
    bool mbox = false;  // the one file holds them all
};

enum class SourceKind { maildir, mbox, eml_folder, eml };

struct ImportSource {
    SourceKind kind;
    std::vector<ImportFolder> folders;
};

// not_found, invalid: nothing that looks like mail.
Result<ImportSource> open_import(std::string const& path);
// Calls visit for each message in order until it returns false. A file that vanished or cannot be read is told to
// `skipped` and left out.
Result<void> read_folder(ImportFolder const& folder, std::function<bool(ImportMessage)> const& visit,
                         std::function<void(std::string const&)> const& skipped);

// The pieces, for tests.
store::Flags maildir_flags(std::string_view file_name);        // ":2,FRS"
std::string maildir_folder(std::string_view directory_name);   // ".Sent.2020" -> "Sent/2020"
std::string maildir_directory(std::string_view mailbox_path);  // and back; safe as a file name
std::string safe_file_name(std::string_view element);          // of one level of a mailbox's path
std::string unsafe_name(std::string_view file_name);           // undoes safe_file_name
// Messages without a CRLF get one for each LF; those that have some are left as they are.
std::string with_crlf(std::string bytes);
// "From joe Thu Jan  1 00:00:00 2026" -> its time; 0 when it is none.
TimeMs mbox_from_date(std::string_view line);
bool is_mbox_from_line(std::string_view line);
// Status: RO / X-Status: AF of an mbox message.
store::Flags mbox_flags(std::string_view header);

}  // namespace mallard::app
