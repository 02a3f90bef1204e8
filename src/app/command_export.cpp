#include <fcntl.h>
#include <fmt/chrono.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "app/command_support.hpp"
#include "app/import_source.hpp"

namespace mallard::app {

namespace fs = std::filesystem;

namespace {

struct Message {
    std::string id;  // 24 hex: never given to another message
    std::uint32_t uid = 0;
    std::vector<std::string> flags;
    std::int64_t date = 0;
    std::uint64_t size = 0;
};

// One mailbox being written. begin/piece/end per message, finish at the end.
class Writer {
public:
    virtual ~Writer() = default;
    virtual std::vector<std::string> already() const = 0;  // ids of messages that an earlier run wrote
    virtual Result<void> begin(Message const& message) = 0;
    virtual Result<void> piece(std::string_view bytes) = 0;
    virtual Result<void> end() = 0;
    virtual Result<void> finish() { return {}; }
};

Result<void> io_error(fs::path const& file) {
    return fail(ErrorKind::io, fmt::format("cannot write {}: {}", file.string(), std::strerror(errno)));
}

Result<void> make_directories(fs::path const& directory) {
    std::error_code error;
    fs::create_directories(directory, error);
    if (error) return fail(ErrorKind::io, fmt::format("cannot make {}: {}", directory.string(), error.message()));
    return {};
}

void set_time(fs::path const& file, std::int64_t ms) {
    timespec const times[2] = {{ms / 1000, 0}, {ms / 1000, 0}};
    ::utimensat(AT_FDCWD, file.c_str(), times, 0);
}

std::string maildir_info(std::vector<std::string> const& flags) {
    constexpr std::pair<std::string_view, char> letters[] = {{"\\Draft", 'D'},    {"\\Flagged", 'F'},
                                                             {"$Forwarded", 'P'}, {"\\Answered", 'R'},
                                                             {"\\Seen", 'S'},     {"\\Deleted", 'T'}};
    std::string out = ":2,";
    for (auto const& [name, letter] : letters)
        if (std::find(flags.begin(), flags.end(), name) != flags.end()) out += letter;
    return out;
}

// A file per message, written under another name first: a file that is there is whole.
class FileWriter : public Writer {
public:
    std::vector<std::string> already() const override {
        std::vector<std::string> ids;
        std::error_code error;
        for (fs::directory_iterator it(directory(), error), end; !error && it != end; it.increment(error))
            if (auto const id = id_of(it->path().filename().string()); !id.empty()) ids.push_back(id);
        return ids;
    }
    Result<void> begin(Message const& message) override {
        message_ = message;
        temporary_ = temporary_directory() / ("." + message.id + ".new");
        out_.open(temporary_, std::ios::binary | std::ios::trunc);
        if (!out_) return io_error(temporary_);
        return {};
    }
    Result<void> piece(std::string_view bytes) override {
        out_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        if (!out_) return io_error(temporary_);
        return {};
    }
    Result<void> end() override {
        out_.close();
        if (!out_) return io_error(temporary_);
        set_time(temporary_, message_.date);
        fs::path const target = directory() / name_of(message_);
        if (::rename(temporary_.c_str(), target.c_str()) != 0) return io_error(target);
        return {};
    }

protected:
    virtual fs::path directory() const = 0;
    virtual fs::path temporary_directory() const = 0;
    virtual std::string name_of(Message const& message) const = 0;
    virtual std::string id_of(std::string const& file_name) const = 0;  // empty: none of ours

private:
    Message message_;
    fs::path temporary_;
    std::ofstream out_;
};

class MaildirWriter final : public FileWriter {
public:
    static Result<std::unique_ptr<Writer>> open(fs::path const& root, std::string const& mailbox) {
        fs::path const directory = mailbox == "INBOX" ? root : root / maildir_directory(mailbox);
        for (char const* name : {"cur", "new", "tmp"}) MALLARD_TRY(make_directories(directory / name));
        auto writer = std::make_unique<MaildirWriter>();
        writer->directory_ = directory;
        return writer;
    }

protected:
    fs::path directory() const override { return directory_ / "cur"; }
    fs::path temporary_directory() const override { return directory_ / "tmp"; }
    std::string name_of(Message const& message) const override {
        return fmt::format("{}.{}.mallard,S={}{}", message.date / 1000, message.id, message.size,
                           maildir_info(message.flags));
    }
    std::string id_of(std::string const& file_name) const override {
        auto const dot = file_name.find('.');
        if (dot == std::string::npos || !file_name.substr(dot + 1).contains(".mallard,S=")) return {};
        return file_name.substr(dot + 1, 24);
    }

private:
    fs::path directory_;
};

class EmlWriter final : public FileWriter {
public:
    static Result<std::unique_ptr<Writer>> open(fs::path const& root, std::string const& mailbox) {
        auto writer = std::make_unique<EmlWriter>();
        writer->directory_ = root / safe_file_name(mailbox);
        MALLARD_TRY(make_directories(writer->directory_));
        return writer;
    }

protected:
    fs::path directory() const override { return directory_; }
    fs::path temporary_directory() const override { return directory_; }
    std::string name_of(Message const& message) const override {
        return fmt::format("{:08}-{}.eml", message.uid, message.id);
    }
    std::string id_of(std::string const& file_name) const override {
        auto const dash = file_name.find('-');
        if (dash == std::string::npos || file_name.size() != dash + 1 + 24 + 4 || !file_name.ends_with(".eml"))
            return {};
        return file_name.substr(dash + 1, 24);
    }

private:
    fs::path directory_;
};

// One file per mailbox, mboxrd. A mailbox that was broken off starts again: its file only appears when it is whole.
class MboxWriter final : public Writer {
public:
    static Result<std::unique_ptr<Writer>> open(fs::path const& root, std::string const& mailbox) {
        auto writer = std::make_unique<MboxWriter>();
        writer->target_ = root / (safe_file_name(mailbox) + ".mbox");
        writer->temporary_ = writer->target_.string() + ".new";
        MALLARD_TRY(make_directories(writer->target_.parent_path()));
        writer->out_.open(writer->temporary_, std::ios::binary | std::ios::trunc);
        if (!writer->out_) return std::unexpected(io_error(writer->temporary_).error());
        return writer;
    }
    std::vector<std::string> already() const override { return {}; }
    Result<void> begin(Message const& message) override {
        out_ << fmt::format("From MAILER-DAEMON {:%a %b %e %H:%M:%S %Y}\n", fmt::gmtime(message.date / 1000));
        line_.clear();
        return check();
    }
    Result<void> piece(std::string_view bytes) override {
        while (!bytes.empty()) {
            auto const end = bytes.find('\n');
            if (end == std::string_view::npos) {
                line_ += bytes;
                break;
            }
            line_ += bytes.substr(0, end + 1);
            write_line();
            bytes.remove_prefix(end + 1);
        }
        return check();
    }
    Result<void> end() override {
        if (!line_.empty()) {  // a final line without end gets one: mbox cannot say otherwise
            line_ += "\r\n";
            write_line();
        }
        out_ << "\n";
        return check();
    }
    Result<void> finish() override {
        out_.close();
        if (!out_ || ::rename(temporary_.c_str(), target_.c_str()) != 0) return io_error(target_);
        return {};
    }

private:
    Result<void> check() {
        if (!out_) return io_error(temporary_);
        return {};
    }
    void write_line() {
        std::string_view const text = line_;
        auto const at = text.find_first_not_of('>');
        if (at != std::string_view::npos && text.substr(at).starts_with("From ")) out_ << '>';
        out_ << text;
        line_.clear();
    }

    fs::path target_, temporary_;
    std::ofstream out_;
    std::string line_;
};

Result<std::unique_ptr<Writer>> open_writer(TransferOptions const& options, std::string const& mailbox) {
    if (options.format == "mbox") return MboxWriter::open(options.path, mailbox);
    if (options.format == "eml") return EmlWriter::open(options.path, mailbox);
    return MaildirWriter::open(options.path, mailbox);
}

Message message_from(Json const& object) {
    return {object.at("id"), object.at("uid"), object.at("flags"), object.at("date"), object.at("size")};
}

struct Totals {
    std::uint64_t exported = 0, already = 0, bytes = 0, done = 0, expected = 0;
};

Result<void> export_mailbox(Channel& channel, std::string const& user, Json const& mailbox,
                            TransferOptions const& options, Progress& progress, Totals& totals) {
    MALLARD_TRY_ASSIGN(auto const writer, open_writer(options, mailbox.at("path")));
    auto const skip = writer->already();
    totals.already += skip.size();
    totals.done += skip.size();
    MALLARD_TRY(channel.send(
        {{"command", "export.messages"}, {"user", user}, {"mailbox", mailbox.at("mailbox")}, {"skip", skip}}));
    for (;;) {
        MALLARD_TRY_ASSIGN(Json const reply, channel.receive_json());
        if (auto const it = reply.find("error"); it != reply.end()) return std::unexpected(error_from_json(*it));
        if (reply.contains("result")) return writer->finish();
        Message const message = message_from(reply.at("message"));
        MALLARD_TRY(writer->begin(message));
        for (std::uint64_t left = message.size; left > 0;) {
            MALLARD_TRY_ASSIGN(Frame const frame, channel.receive());
            if (frame.kind != Frame::Kind::bytes || frame.payload.size() > left)
                return fail(ErrorKind::corrupt,
                            fmt::format("message {} of {} could not be read whole; `mallard check` says more",
                                        message.uid, mailbox.at("path").get<std::string>()));
            MALLARD_TRY(writer->piece(frame.payload));
            left -= frame.payload.size();
        }
        MALLARD_TRY(writer->end());
        ++totals.exported;
        totals.bytes += message.size;
        progress.update(++totals.done, totals.expected);
    }
}

Result<Totals> export_all(Administration& administration, TransferOptions const& options, Progress& progress) {
    MALLARD_TRY_ASSIGN(Json const list, administration.call({{"command", "export.mailboxes"}, {"who", options.user}}));
    Totals totals;
    std::vector<Json> wanted;
    for (Json const& mailbox : list.at("mailboxes")) {
        if (!options.mailbox.empty() && mailbox.at("path") != options.mailbox) continue;
        wanted.push_back(mailbox);
        totals.expected += mailbox.at("messages").get<std::uint64_t>();
    }
    if (wanted.empty())
        return fail(ErrorKind::not_found, fmt::format("{} has no mailbox \"{}\"; `mallard user show {}` names them",
                                                      options.user, options.mailbox, options.user));
    MALLARD_TRY(make_directories(options.path));
    MALLARD_TRY_ASSIGN(Channel channel, administration.connect());
    for (Json const& mailbox : wanted)
        MALLARD_TRY(export_mailbox(channel, list.at("user"), mailbox, options, progress, totals));
    return totals;
}

}  // namespace

int command_export(CommonOptions const& common, TransferOptions const& options) {
    auto const administration = open_administration(common, "export");
    if (!administration) return report(administration.error());
    Progress progress("Exporting");
    auto const totals = export_all(**administration, options, progress);
    progress.clear();
    if (!totals) {
        complain("what was written so far is whole; run the same command again to go on");
        return report(totals.error());
    }
    fmt::print("Exported {} messages, {}, to {} in {} ({} were there already)\n", human_count(totals->exported),
               human_bytes(totals->bytes), options.path, human_duration(progress.elapsed()),
               human_count(totals->already));
    return 0;
}

}  // namespace mallard::app
