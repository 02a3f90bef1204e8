#pragma once
// SpoolSink: where received octets go: into a spool (or nowhere). What goes to the spool's file is gathered into blocks
// and written on the worker pool, since the disk may block; what stays in memory is appended in place.
//   sink.put(bytes); if (sink.wants_flush()) co_await sink.flush();   at the end: if (sink.has_block()) ... flush ...

#include <cstddef>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/spool.hpp"
#include "net/stream.hpp"
#include "net/workers.hpp"

namespace mallard::net {

class SpoolSink {
public:
    static constexpr std::size_t block_bytes = 256 * 1024;

    SpoolSink(Spool* spool, Workers* workers) : spool_(spool), workers_(workers) {}

    void put(std::string_view bytes) {
        if (dropping() || bytes.empty()) return;
        if (workers_ == nullptr || (block_.empty() && !spool_->would_spill(bytes.size())))
            result_ = spool_->append(bytes);
        else
            block_ += bytes;
    }
    bool wants_flush() const { return block_.size() >= block_bytes; }
    bool has_block() const { return !block_.empty(); }
    Async<void> flush() {
        co_await workers_->run(Pool::commands, [this] {
            if (!dropping()) result_ = spool_->append(block_);
        });
        block_.clear();
    }
    void drop_rest() { spool_ = nullptr; }
    bool failed() const { return !result_; }
    bool dropping() const { return spool_ == nullptr || !result_; }
    Result<void>& result() { return result_; }

private:
    Spool* spool_;
    Workers* workers_;
    std::string block_;
    Result<void> result_;
};

}  // namespace mallard::net
