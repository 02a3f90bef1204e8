#include "app/worker_process.hpp"

#include <fmt/format.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <ranges>

namespace mallard::app {

namespace {

struct SpawnActions {
    posix_spawn_file_actions_t value;
    SpawnActions() { ::posix_spawn_file_actions_init(&value); }
    ~SpawnActions() { ::posix_spawn_file_actions_destroy(&value); }
    // The same number: it stays open over exec.
    void keep(int fd) { ::posix_spawn_file_actions_adddup2(&value, fd, fd); }
};

// Signals as at the start of any program, whatever we do with ours.
struct SpawnAttributes {
    posix_spawnattr_t value;
    SpawnAttributes() {
        ::posix_spawnattr_init(&value);
        sigset_t none, usual;
        ::sigemptyset(&none);
        ::sigemptyset(&usual);
        for (int const number : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&usual, number);
        ::posix_spawnattr_setsigmask(&value, &none);
        ::posix_spawnattr_setsigdefault(&value, &usual);
        ::posix_spawnattr_setflags(&value, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    }
    ~SpawnAttributes() { ::posix_spawnattr_destroy(&value); }
};

}  // namespace

Descriptor::~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
}

Result<std::unique_ptr<WorkerProcess>> WorkerProcess::start(std::vector<std::string> const& program,
                                                            WorkerPlan const& plan) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return fail(ErrorKind::unavailable, "cannot make a socket pair", std::strerror(errno));
    Descriptor const theirs(ends[1]);
    SpawnActions actions;
    actions.keep(theirs.fd());
    for (auto const& file : plan.files) actions.keep(file->fd());
    std::vector<std::string> words = program;
    words.push_back(std::to_string(theirs.fd()));
    std::vector<char*> arguments;
    for (std::string& word : words | std::views::drop(1)) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    SpawnAttributes const attributes;
    pid_t pid = 0;
    int const error =
        ::posix_spawn(&pid, program.front().c_str(), &actions.value, &attributes.value, arguments.data(), environ);
    if (error != 0) {
        ::close(ends[0]);
        return fail(ErrorKind::unavailable, "cannot start a process", std::strerror(error));
    }
    std::unique_ptr<WorkerProcess> self(
        new WorkerProcess(pid, ends[0], static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
    if (self->end() < 0) return fail(ErrorKind::unavailable, "cannot watch a process", std::strerror(errno));
    self->output_ = encode_frame(Frame::Kind::json, plan.start);
    self->flush();
    return self;
}

WorkerProcess::~WorkerProcess() {
    if (reaped_) return;
    signal(SIGKILL);
    reap();
}

void WorkerProcess::send(Json const& object) {
    output_ += encode_frame(object);
    flush();
}

void WorkerProcess::flush() {
    while (!output_.empty()) {
        ssize_t const n = ::send(channel(), output_.data(), output_.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EAGAIN) output_.clear();  // it is gone: end() says so
        if (n < 0) return;
        output_.erase(0, static_cast<std::size_t>(n));
    }
}

std::vector<Json> WorkerProcess::receive() {
    char piece[16384];
    for (;;) {
        ssize_t const n = ::recv(channel(), piece, sizeof piece, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        input_.append(piece, static_cast<std::size_t>(n));
    }
    std::vector<Json> out;
    for (;;) {
        auto frame = take_frame(input_);
        if (frame && !*frame) return out;
        auto object = frame ? json_of(**frame) : Result<Json>(std::unexpected(frame.error()));
        if (!object) {
            signal(SIGKILL);
            input_.clear();
            return out;
        }
        out.push_back(*std::move(object));
    }
}

void WorkerProcess::signal(int number) {
    if (!reaped_) ::kill(pid_, number);
}

std::string WorkerProcess::reap() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
    reaped_ = true;
    if (WIFSIGNALED(status)) return fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    return fmt::format("exit code {}", WEXITSTATUS(status));
}

}  // namespace mallard::app
