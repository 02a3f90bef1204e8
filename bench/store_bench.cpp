// store_bench: what the embedded mail store does by itself, without a protocol: rates and costs per operation.
// usage: store_bench DIRECTORY [messages] [octets] [readings]     (DIRECTORY must not exist)

#include <fmt/format.h>
#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "mime/message.hpp"
#include "store/embedded/store.hpp"

namespace {

using namespace mallard;
using namespace mallard::store;

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    auto const seconds = [](timeval t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

template <class F>
void measure(std::string_view name, std::size_t count, F&& work) {
    auto const start = std::chrono::steady_clock::now();
    double const cpu = cpu_seconds();
    work();
    double const wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    double const used = cpu_seconds() - cpu;
    auto const n = static_cast<double>(count);
    fmt::print("{:<44} {:>8.3f} s  {:>10.0f}/s  {:>8.1f} us cpu each\n", name, wall, n / wall, used / n * 1e6);
}

template <class T>
T need(Result<T> result) {
    if (!result) {
        fmt::print("failed: {} ({})\n", result.error().message, result.error().context);
        std::exit(1);
    }
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Text that compresses as English does: words drawn with a skew.
std::string text(std::size_t octets, unsigned seed) {
    static std::vector<std::string> const words = [] {
        std::mt19937 random(1);
        std::vector<std::string> out;
        for (int i = 0; i < 4000; ++i) {
            std::string word;
            for (unsigned n = 2 + random() % 8; n > 0; --n) word += static_cast<char>('a' + random() % 26);
            out.push_back(word);
        }
        return out;
    }();
    std::mt19937 random(seed);
    std::string out;
    std::size_t line = 0;
    while (out.size() < octets) {
        auto const& word = words[random() % (1 + random() % words.size())];
        out += word;
        line += word.size() + 1;
        out += line > 70 ? "\r\n" : " ";
        if (line > 70) line = 0;
    }
    return out;
}

std::string message(std::size_t octets, unsigned seed) {
    return fmt::format(
        "From: Ann Example <ann{}@example.com>\r\nTo: Bob <bob@example.org>\r\nSubject: Message number {}\r\n"
        "Message-ID: <{}@example.com>\r\nDate: Mon, 01 Jan 2024 10:00:00 +0000\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n\r\n{}\r\n",
        seed % 50, seed, seed, text(octets, seed));
}

NewMessage prepared(std::string const& source, mime::Entity const& tree, unsigned seed) {
    NewMessage message;
    message.source = source;
    message.tree = &tree;
    message.internal_date = 1'700'000'000'000 + TimeMs{seed} * 60'000;
    message.record.envelope = fmt::format(
        "(\"Mon, 01 Jan 2024 10:00:00 +0000\" \"Message number {}\" ((\"Ann Example\" NIL \"ann{}\" \"example.com\")) "
        "((\"Ann Example\" NIL \"ann{}\" \"example.com\")) ((\"Ann Example\" NIL \"ann{}\" \"example.com\")) "
        "((\"Bob\" NIL \"bob\" \"example.org\")) NIL NIL NIL \"<{}@example.com>\")",
        seed, seed % 50, seed % 50, seed % 50, seed);
    message.record.body = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\") NIL NIL \"7BIT\" 5000 70)";
    message.record.body_structure =
        "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\") NIL NIL \"7BIT\" 5000 70 NIL NIL NIL NIL)";
    message.record.parts = std::string(12, 'p');
    message.record.headers = fmt::format("from\0ann{}@example.com\0subject\0message number {}", seed % 50, seed);
    message.record.info = std::string(200, 'i');
    message.record.meta = std::string(120, 'm');
    message.thread_refs = {fmt::format("ref{}", seed)};
    message.thread_subject = "Message number";
    return message;
}

void append(MailStore& mail, MailboxId box, std::size_t octets, unsigned seed) {
    auto const source = message(octets, seed);
    auto const tree = mime::parse(source);
    need(mail.append(box, prepared(source, tree, seed)));
}

MailboxId new_mailbox(MailStore& mail, UserId user, std::string path) {
    MailboxInfo info;
    info.user = user;
    info.path = std::move(path);
    return need(mail.create_mailbox(info)).id;
}

std::vector<Row const*> rows_of(MailboxIndex const& index) {
    std::vector<Row const*> rows;
    for (auto const& chunk : index.chunks)
        for (Row const& row : chunk->rows()) rows.push_back(&row);
    return rows;
}

void append_rates(MailStore& mail) {
    for (std::size_t const octets : {std::size_t{10'000}, std::size_t{100'000}}) {
        std::vector<std::string> sources;
        for (unsigned i = 0; i < 64; ++i) sources.push_back(message(octets, i));
        for (int const threads : {1, 10, 50}) {
            std::size_t const count = octets > 50'000 ? 1'000 : 5'000;
            std::vector<MailboxId> boxes;
            for (int i = 0; i < threads; ++i) boxes.push_back(new_mailbox(mail, UserId::generate(), "INBOX"));
            measure(fmt::format("append {} KB, {} threads and mailboxes", octets / 1000, threads), count, [&] {
                std::atomic<unsigned> next = 0;
                std::vector<std::jthread> workers;
                for (int i = 0; i < threads; ++i)
                    workers.emplace_back([&, i] {
                        for (unsigned n = next++; n < count; n = next++) {
                            auto const& source = sources[n % sources.size()];
                            auto const tree = mime::parse(source);
                            need(mail.append(boxes[i], prepared(source, tree, n + static_cast<unsigned>(octets))));
                        }
                    });
            });
        }
        auto const shared = new_mailbox(mail, UserId::generate(), "INBOX");
        measure(fmt::format("append {} KB, 10 threads, one mailbox", octets / 1000), 2'000, [&] {
            std::vector<std::jthread> workers;
            for (int i = 0; i < 10; ++i)
                workers.emplace_back([&, i] {
                    for (unsigned n = 0; n < 200; ++n) {
                        auto const& source = sources[n % sources.size()];
                        auto const tree = mime::parse(source);
                        need(mail.append(shared, prepared(source, tree, n + static_cast<unsigned>(i) * 1000)));
                    }
                });
        });
    }
}

void read_all(MailStore& mail, MailboxId box, std::string_view when) {
    Snapshot index;
    measure(fmt::format("snapshot, {}", when), 1, [&] { index = need(mail.snapshot(box)); });
    auto const rows = rows_of(*index);
    std::size_t octets = 0;
    measure(fmt::format("records: envelope, structure, {}", when), rows.size(), [&] {
        need(mail.records(box, rows, want_envelope | want_body_structure,
                          [&](std::size_t, MessageRecord const& record) { octets += record.envelope.size(); }));
    });
    measure(fmt::format("bodies, {}", when), rows.size(), [&] {
        need(mail.bodies(box, rows,
                         [&](std::size_t, std::optional<std::string_view> bytes) { octets += bytes->size(); }));
    });
    if (octets == 0) std::exit(1);
}

void change_all(MailStore& mail, MailboxId box, UserId user, std::size_t count) {
    UidSet const all{{1, UINT32_MAX}};
    measure("flags: add \\Flagged to all", count,
            [&] { need(mail.change_flags(box, all, {FlagMode::add, {flagged, {}}, {}})); });
    auto const copy = new_mailbox(mail, user, "Copy");
    measure("copy all", count, [&] { need(mail.copy(box, all, copy)); });
    measure("move all", count, [&] { need(mail.move(copy, all, new_mailbox(mail, user, "Moved"))); });
    measure("expunge all", count, [&] { need(mail.expunge(box, all, false)); });
    measure("sweep it (in the background)", count, [&] {
        while (need(mail.sweep())) {}
    });
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        fmt::print("usage: store_bench DIRECTORY [messages] [octets] [readings]\n");
        return 1;
    }
    std::filesystem::path const directory = argv[1];
    std::size_t const count = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
    std::size_t const octets = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : 5'000;
    std::filesystem::create_directories(directory);
    SystemClock const clock;
    embedded::EmbeddedConfig const config{.directory = directory / "store", .upkeep = false};
    auto const open = [&] { return need(embedded::EmbeddedStore::open(config, clock)); };
    auto store = open();
    UserId const user = UserId::generate();
    MailboxId const box = new_mailbox(store->mail(), user, "INBOX");

    append_rates(store->mail());
    measure(fmt::format("append {} messages of {} octets, 8 threads", count, octets), count, [&] {
        std::atomic<unsigned> next = 0;
        std::vector<std::jthread> workers;
        for (int i = 0; i < 8; ++i)
            workers.emplace_back([&] {
                for (unsigned n = next++; n < count; n = next++) append(store->mail(), box, octets, n);
            });
    });
    read_all(store->mail(), box, "after appending");
    need(store->engine().flush());
    read_all(store->mail(), box, "flushed");
    need(store->mail().sweep());
    measure("close", 1, [&] { store.reset(); });
    measure("open", 1, [&] { store = open(); });
    read_all(store->mail(), box, "reopened");
    int const repeats = argc > 4 ? std::atoi(argv[4]) : 1;
    for (int i = 0; i < repeats; ++i) read_all(store->mail(), box, "again");
    change_all(store->mail(), box, user, count);

    std::uintmax_t on_disk = 0;
    for (auto const& entry : std::filesystem::recursive_directory_iterator(directory))
        if (entry.is_regular_file()) on_disk += entry.file_size();
    fmt::print("on disk: {} MB\n", on_disk / 1'000'000);
    store.reset();
    return 0;
}
