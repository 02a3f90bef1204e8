#pragma once
// A worker process as its supervisor sees it: started, spoken to, ended. Nothing here blocks.
//
// It is this program started anew (fork and exec), so that it begins without threads and locks of ours. Descriptors of
// its plan are open in it under the same numbers. The two speak in frames (control_protocol.hpp), JSON only:
//
//   to the worker      the start frame of its plan; {"retire": true}; {"report": true}; {"metrics": text}
//   from the worker    {"ready": true} or {"failed": message}; {"counted": text}; {"collect": true}
//
// `report` asks for `counted`, its own metrics; `collect` for `metrics`, those of all. A worker whose channel ends has
// lost its supervisor, and drains.

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "app/control_protocol.hpp"
#include "base/error.hpp"

namespace mallard::app {

// A descriptor that ends with its last owner: a plan and its successor share the sockets that stay.
class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor const&) = delete;
    Descriptor& operator=(Descriptor const&) = delete;
    ~Descriptor();
    int fd() const { return fd_; }

private:
    int fd_;
};

struct WorkerPlan {
    std::string role;   // for the log
    std::string start;  // the first frame that it gets: a JSON object
    std::vector<std::shared_ptr<Descriptor const>> files;
};

class WorkerProcess {
public:
    // `program`: the file, the name it is called by, its arguments; the channel's number is added as the last one.
    static Result<std::unique_ptr<WorkerProcess>> start(std::vector<std::string> const& program,
                                                        WorkerPlan const& plan);
    ~WorkerProcess();  // whoever still runs is killed

    pid_t pid() const { return pid_; }
    int channel() const { return channel_.fd(); }
    int end() const { return end_.fd(); }  // readable once it has ended
    bool wants_to_write() const { return !output_.empty(); }

    void send(Json const& object);  // queued
    void flush();
    std::vector<Json> receive();  // what has come; who speaks nonsense is killed
    void signal(int number);
    std::string reap();  // after its end: "exit code 1", "signal 9 (Killed)"

private:
    WorkerProcess(pid_t pid, int channel, int end) : pid_(pid), channel_(channel), end_(end) {}
    pid_t pid_;
    Descriptor channel_;
    Descriptor end_;  // a pidfd
    bool reaped_ = false;
    std::string input_;
    std::string output_;
};

}  // namespace mallard::app
