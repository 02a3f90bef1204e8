#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "app/command_support.hpp"
#include "app/import_source.hpp"
#include "base/encoding.hpp"

namespace mallard::app {

namespace {

constexpr std::size_t senders = 4;  // each append waits for the disk; four of them share one wait
constexpr std::size_t queue_bytes_max = 64 * 1024 * 1024;

struct Counts {
    std::atomic<std::uint64_t> imported{0}, already{0}, refused{0};
    std::uint64_t done() const { return imported + already + refused; }
};

struct Job {
    Json request;
    std::string bytes;
};

// Reader in front, senders behind; bounded by bytes.
class Queue {
public:
    bool push(Job job) {  // false: closed
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closed_ || bytes_ == 0 || bytes_ + job.bytes.size() <= queue_bytes_max; });
        if (closed_) return false;
        bytes_ += job.bytes.size();
        jobs_.push_back(std::move(job));
        changed_.notify_all();
        return true;
    }
    std::optional<Job> pop() {  // nothing: closed and empty
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return closed_ || !jobs_.empty(); });
        if (jobs_.empty()) return std::nullopt;
        Job job = std::move(jobs_.front());
        jobs_.pop_front();
        bytes_ -= job.bytes.size();
        changed_.notify_all();
        return job;
    }
    void close(bool drop) {
        std::lock_guard const lock(mutex_);
        closed_ = true;
        if (drop) jobs_.clear();
        changed_.notify_all();
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Job> jobs_;
    std::size_t bytes_ = 0;
    bool closed_ = false;
};

class Import {
public:
    Import(Administration& administration, TransferOptions const& options)
        : administration_(administration), options_(options), progress_("Importing") {}

    Result<void> run(ImportSource const& source);
    void summarize(ImportSource const& source) const;
    Counts const& counts() const { return counts_; }

private:
    Result<void> read(ImportFolder const& folder);
    void send_all(Channel channel);
    void send_one(Channel& channel, Job const& job);
    void stop(Error error) {
        std::lock_guard const lock(mutex_);
        if (!failure_) failure_ = std::move(error);
        queue_.close(true);
    }
    void note(std::string line) {
        std::lock_guard const lock(mutex_);
        if (notes_.size() < 20) notes_.push_back(std::move(line));
    }

    Administration& administration_;
    TransferOptions const& options_;
    Progress progress_;
    Queue queue_;
    Counts counts_;
    std::uint64_t total_ = 0;
    std::size_t folders_ = 0;
    std::mutex mutex_;
    std::optional<Error> failure_;
    std::vector<std::string> notes_;
};

std::string target_mailbox(TransferOptions const& options, ImportFolder const& folder) {
    if (folder.mailbox.empty()) return options.mailbox.empty() ? "INBOX" : options.mailbox;
    return options.mailbox.empty() ? folder.mailbox : options.mailbox + "/" + folder.mailbox;
}

void Import::send_one(Channel& channel, Job const& job) {
    auto sent = channel.send(job.request);
    if (sent) sent = channel.send_bytes(job.bytes);
    if (!sent) return stop({ErrorKind::closed, "the server went away; run the same command again to go on", ""});
    auto const reply = receive_result(channel);
    if (reply) {
        ++counts_.imported;
        return;
    }
    switch (reply.error().kind) {
        case ErrorKind::too_large:
        case ErrorKind::invalid:
            ++counts_.refused;
            return note(fmt::format("refused: {} ({} bytes)", reply.error().message, job.bytes.size()));
        case ErrorKind::over_quota:
            return stop({ErrorKind::over_quota,
                         "the account is full: raise its quota, then run the same command again to go on", ""});
        case ErrorKind::closed:
            return stop({ErrorKind::closed, "the server went away; run the same command again to go on", ""});
        default: return stop(reply.error());
    }
}

void Import::send_all(Channel channel) {
    while (auto const job = queue_.pop()) {
        send_one(channel, *job);
        std::lock_guard const lock(mutex_);
        progress_.update(counts_.done(), total_);
    }
}

Result<void> Import::read(ImportFolder const& folder) {
    MALLARD_TRY_ASSIGN(Json target, administration_.call({{"command", "import.mailbox"},
                                                          {"who", options_.user},
                                                          {"path", target_mailbox(options_, folder)}}));
    Json& hashes = target.at("hashes");
    auto const visit = [&](ImportMessage message) {
        std::string const hash = hex_encode(sha256(message.bytes).substr(0, 16));
        if (int const before = hashes.value(hash, 0); before > 0) {  // an earlier run got so far
            hashes[hash] = before - 1;
            ++counts_.already;
            return true;
        }
        Json flags = Json::array();
        for (std::string_view name : store::system_flag_names(message.flags.system)) flags.push_back(name);
        for (std::string const& keyword : message.flags.keywords) flags.push_back(keyword);
        Job job;
        job.request = {{"command", "import.message"},
                       {"user", target.at("user")},
                       {"mailbox", target.at("mailbox")},
                       {"flags", flags},
                       {"date", message.date},
                       {"hash", hash},
                       {"size", message.bytes.size()}};
        job.bytes = std::move(message.bytes);
        return queue_.push(std::move(job));
    };
    ++folders_;
    return read_folder(folder, visit, [&](std::string const& file) {
        ++counts_.refused;
        note("cannot be read: " + file);
    });
}

Result<void> Import::run(ImportSource const& source) {
    for (ImportFolder const& folder : source.folders) total_ += folder.messages;
    std::vector<Channel> channels;
    for (std::size_t i = 0; i < senders; ++i) {
        MALLARD_TRY_ASSIGN(Channel channel, administration_.connect());
        channels.push_back(std::move(channel));
    }
    std::vector<std::thread> threads;
    for (Channel& channel : channels)
        threads.emplace_back([this, c = std::make_shared<Channel>(std::move(channel))] { send_all(std::move(*c)); });
    Result<void> result;
    for (ImportFolder const& folder : source.folders) {
        result = read(folder);
        if (!result) break;
    }
    queue_.close(!result);
    for (std::thread& thread : threads) thread.join();
    progress_.clear();
    for (std::string const& line : notes_) complain(line);
    if (failure_) return std::unexpected(*failure_);
    return result;
}

void Import::summarize(ImportSource const&) const {
    fmt::print("Imported {} messages into {} mailbox{} in {} ({} were there already, {} refused)\n",
               human_count(counts_.imported), folders_, folders_ == 1 ? "" : "es", human_duration(progress_.elapsed()),
               human_count(counts_.already), human_count(counts_.refused));
}

}  // namespace

int command_import(CommonOptions const& common, TransferOptions const& options) {
    auto const source = open_import(options.path);
    if (!source) return report(source.error());
    auto const administration = open_administration(common, "import");
    if (!administration) return report(administration.error());
    Import import(**administration, options);
    auto const done = import.run(*source);
    import.summarize(*source);
    if (!done) return report(done.error());
    return import.counts().refused == 0 ? 0 : 1;
}

}  // namespace mallard::app
