#include "app/import_source.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/encoding.hpp"

namespace mallard::app {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t header_scan_max = 64 * 1024;

TimeMs modified(std::string const& file) {
    struct stat info{};
    return ::stat(file.c_str(), &info) == 0 ? static_cast<TimeMs>(info.st_mtime) * 1000 : 0;
}

bool is_maildir(fs::path const& path) {
    std::error_code error;
    return fs::is_directory(path / "cur", error) && fs::is_directory(path / "new", error);
}

bool is_eml(fs::path const& path) {
    std::string const extension = to_lower(path.extension().string());
    return extension == ".eml" || extension == ".msg" || extension == ".txt";
}

// Regular files, sorted by name: the order of a run must be the order of the next.
std::vector<std::string> files_in(fs::path const& directory, bool (*wanted)(fs::path const&)) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
        if (it->is_regular_file(error) && it->path().filename().string()[0] != '.' && wanted(it->path()))
            out.push_back(it->path().string());
    std::sort(out.begin(), out.end());
    return out;
}

std::vector<fs::path> directories_in(fs::path const& directory) {
    std::vector<fs::path> out;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error))
        if (it->is_directory(error) && !it->is_symlink(error)) out.push_back(it->path());
    std::sort(out.begin(), out.end());
    return out;
}

bool any_file(fs::path const&) { return true; }

std::string join(std::string const& parent, std::string const& name) {
    return parent.empty() ? name : parent + "/" + name;
}

constexpr int depth_max = 32;

void add_maildir(fs::path const& path, std::string const& mailbox, int depth, std::vector<ImportFolder>& out) {
    ImportFolder folder;
    folder.mailbox = mailbox;
    folder.files = files_in(path / "cur", any_file);
    auto const fresh = files_in(path / "new", any_file);
    folder.files.insert(folder.files.end(), fresh.begin(), fresh.end());
    folder.messages = folder.files.size();
    out.push_back(std::move(folder));
    if (depth >= depth_max) return;
    for (fs::path const& sub : directories_in(path)) {
        std::string const name = sub.filename().string();
        if (!is_maildir(sub)) continue;
        add_maildir(sub, join(mailbox, name[0] == '.' ? maildir_folder(name) : unsafe_name(name)), depth + 1, out);
    }
}

void add_eml_folder(fs::path const& path, std::string const& mailbox, int depth, std::vector<ImportFolder>& out) {
    ImportFolder folder;
    folder.mailbox = mailbox;
    folder.files = files_in(path, is_eml);
    folder.messages = folder.files.size();
    if (folder.messages > 0) out.push_back(std::move(folder));
    if (depth >= depth_max) return;
    for (fs::path const& sub : directories_in(path))
        if (sub.filename().string()[0] != '.')
            add_eml_folder(sub, join(mailbox, unsafe_name(sub.filename().string())), depth + 1, out);
}

// A line with its end; false at the end of the file.
bool read_raw_line(std::istream& in, std::string& line) {
    line.clear();
    if (!std::getline(in, line)) return false;
    if (!in.eof()) line += '\n';
    return !line.empty();
}

// mboxrd: ">From " was "From " once, ">>From " was ">From ".
bool is_quoted_from(std::string_view line) {
    auto const at = line.find_first_not_of('>');
    return at != std::string_view::npos && at > 0 && line.substr(at).starts_with("From ");
}

std::uint64_t count_mbox(std::string const& file) {
    std::ifstream in(file, std::ios::binary);
    std::string line;
    std::uint64_t count = 0;
    bool after_blank = true;
    while (read_raw_line(in, line)) {
        if (after_blank && is_mbox_from_line(line)) ++count;
        after_blank = line == "\n" || line == "\r\n";
    }
    return count;
}

Result<void> read_mbox(std::string const& file, std::function<bool(ImportMessage)> const& visit) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return fail(ErrorKind::io, fmt::format("cannot read {}", file));
    TimeMs const fallback = modified(file);
    ImportMessage message;
    bool open = false, after_blank = true;
    std::string line;
    auto const finish = [&] {
        if (!open) return true;
        // The blank line in front of the next From_ line belongs to the format, not to the message.
        if (message.bytes.ends_with("\r\n\r\n"))
            message.bytes.resize(message.bytes.size() - 2);
        else if (message.bytes.ends_with("\n\n"))
            message.bytes.pop_back();
        message.bytes = with_crlf(std::move(message.bytes));
        auto const end_of_header = std::min(message.bytes.find("\r\n\r\n"), message.bytes.size());
        message.flags = mbox_flags(std::string_view(message.bytes).substr(0, std::min(end_of_header, header_scan_max)));
        return visit(std::move(message));
    };
    while (read_raw_line(in, line)) {
        if (after_blank && is_mbox_from_line(line)) {
            if (!finish()) return {};
            TimeMs const date = mbox_from_date(line);
            message = {.bytes = {}, .flags = {}, .date = date != 0 ? date : fallback};
            open = true;
            after_blank = false;
            continue;
        }
        after_blank = line == "\n" || line == "\r\n";
        message.bytes += is_quoted_from(line) ? std::string_view(line).substr(1) : std::string_view(line);
    }
    finish();
    return {};
}

}  // namespace

Result<ImportSource> open_import(std::string const& path) {
    std::error_code error;
    ImportSource source;
    if (fs::is_directory(path, error)) {
        if (is_maildir(path)) {
            source.kind = SourceKind::maildir;
            add_maildir(path, "", 0, source.folders);
            return source;
        }
        source.kind = SourceKind::eml_folder;
        add_eml_folder(path, "", 0, source.folders);
        if (source.folders.empty()) {  // a folder of Maildirs, as mbsync keeps them
            for (fs::path const& sub : directories_in(path))
                if (is_maildir(sub)) add_maildir(sub, unsafe_name(sub.filename().string()), 1, source.folders);
            source.kind = SourceKind::maildir;
        }
        if (source.folders.empty())
            return fail(ErrorKind::invalid,
                        fmt::format("{} holds no mail: it is no Maildir (cur/ and new/), and there is "
                                    "no .eml file in it",
                                    path));
        return source;
    }
    std::ifstream in(path, std::ios::binary);
    if (!in)
        return fail(ErrorKind::not_found, fmt::format("cannot read {}: does it exist, and may you read it?", path));
    std::string line;
    read_raw_line(in, line);
    ImportFolder folder;
    folder.files = {path};
    folder.mbox = is_mbox_from_line(line);
    folder.messages = folder.mbox ? count_mbox(path) : 1;
    source.kind = folder.mbox ? SourceKind::mbox : SourceKind::eml;
    source.folders.push_back(std::move(folder));
    return source;
}

Result<void> read_folder(ImportFolder const& folder, std::function<bool(ImportMessage)> const& visit,
                         std::function<void(std::string const&)> const& skipped) {
    if (folder.mbox) return read_mbox(folder.files.front(), visit);
    for (std::string const& file : folder.files) {
        std::ifstream in(file, std::ios::binary);
        std::string bytes{std::istreambuf_iterator<char>(in), {}};
        if (!in || in.bad()) {
            skipped(file);
            continue;
        }
        ImportMessage message;
        message.bytes = with_crlf(std::move(bytes));
        message.flags = maildir_flags(fs::path(file).filename().string());
        message.date = modified(file);
        if (!visit(std::move(message))) return {};
    }
    return {};
}

store::Flags maildir_flags(std::string_view file_name) {
    store::Flags flags;
    auto const at = file_name.rfind(":2,");
    if (at == std::string_view::npos) return flags;
    for (char const c : file_name.substr(at + 3)) {
        switch (c) {
            case 'D': flags.system |= store::draft; break;
            case 'F': flags.system |= store::flagged; break;
            case 'P': flags.keywords = {"$Forwarded"}; break;
            case 'R': flags.system |= store::answered; break;
            case 'S': flags.system |= store::seen; break;
            case 'T': flags.system |= store::deleted; break;
            default: break;
        }
    }
    return flags;
}

std::string maildir_folder(std::string_view directory_name) {
    if (directory_name.starts_with('.')) directory_name.remove_prefix(1);
    std::string path(directory_name);
    std::replace(path.begin(), path.end(), '.', '/');
    return unsafe_name(path);
}

std::string maildir_directory(std::string_view mailbox_path) {
    std::string out = ".";
    for (char const c : safe_file_name(mailbox_path)) out += c == '/' ? '.' : c;
    return out;
}

std::string safe_file_name(std::string_view element) {
    std::string out;
    for (char const c : element) {
        bool const plain =
            c != '.' && c != '%' && c != '\\' && c != ':' && static_cast<unsigned char>(c) >= 0x20 && c != 0x7F;
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

std::string unsafe_name(std::string_view file_name) {
    std::string out;
    for (std::size_t i = 0; i < file_name.size(); ++i) {
        if (file_name[i] == '%' && i + 2 < file_name.size()) {
            if (auto const byte = hex_decode(file_name.substr(i + 1, 2))) {
                out += *byte;
                i += 2;
                continue;
            }
        }
        out += file_name[i];
    }
    return out;
}

std::string with_crlf(std::string bytes) {
    if (bytes.find("\r\n") != std::string::npos || bytes.find('\n') == std::string::npos) return bytes;
    std::string out;
    out.reserve(bytes.size() + bytes.size() / 32);
    for (char const c : bytes) {
        if (c == '\n') out += '\r';
        out += c;
    }
    return out;
}

bool is_mbox_from_line(std::string_view line) { return line.starts_with("From ") && mbox_from_date(line) != 0; }

TimeMs mbox_from_date(std::string_view line) {
    // The date stands at the end in asctime's form, a zone may follow: look for " Www Mmm ".
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (auto at = line.find(' '); at != std::string_view::npos; at = line.find(' ', at + 1)) {
        std::string const rest(line.substr(at + 1, 64));
        char weekday[4] = {}, month[4] = {};
        int day = 0, hour = 0, minute = 0, second = 0, year = 0, used = 0;
        if (std::sscanf(rest.c_str(), "%3s %3s %2d %2d:%2d%n", weekday, month, &day, &hour, &minute, &used) != 5)
            continue;
        std::string_view tail = std::string_view(rest).substr(static_cast<std::size_t>(used));
        if (std::sscanf(tail.data(), ":%2d%n", &second, &used) == 1) tail.remove_prefix(static_cast<std::size_t>(used));
        while (!tail.empty() && (std::sscanf(tail.data(), "%4d", &year) != 1 || year < 1970)) {  // past "UTC", "+0100"
            year = 0;
            auto const blank = tail.find(' ', 1);
            tail = blank == std::string_view::npos ? std::string_view() : tail.substr(blank);
        }
        auto const index = months.find(month);
        if (year == 0 || index == std::string_view::npos || index % 3 != 0) continue;
        std::tm time{};
        time.tm_year = year - 1900;
        time.tm_mon = static_cast<int>(index / 3);
        time.tm_mday = day;
        time.tm_hour = hour;
        time.tm_min = minute;
        time.tm_sec = second;
        return static_cast<TimeMs>(::timegm(&time)) * 1000;
    }
    return 0;
}

store::Flags mbox_flags(std::string_view header) {
    store::Flags flags;
    while (!header.empty()) {
        auto const end = std::min(header.find('\n'), header.size());
        std::string_view const line = header.substr(0, end);
        header.remove_prefix(std::min(end + 1, header.size()));
        auto const colon = line.find(':');
        if (colon == std::string_view::npos) continue;
        std::string_view const name = line.substr(0, colon), value = trim(line.substr(colon + 1));
        if (!iequals(name, "status") && !iequals(name, "x-status")) continue;
        for (char const c : value) {
            if (c == 'R') flags.system |= store::seen;
            if (c == 'A') flags.system |= store::answered;
            if (c == 'F') flags.system |= store::flagged;
            if (c == 'D') flags.system |= store::deleted;
            if (c == 'T') flags.system |= store::draft;
        }
    }
    return flags;
}

}  // namespace mallard::app
