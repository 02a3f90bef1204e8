#include "net/memory_stream.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <exception>
#include <utility>

namespace mallard::net {

namespace {

class MemoryStream final : public Stream {
public:
    MemoryStream(std::string input, std::string* output, std::size_t piece)
        : input_(std::move(input)), output_(output), piece_(piece) {}

    Result<std::size_t> try_read(char* out, std::size_t max) override {
        if (closed_ || read_ == input_.size()) return fail(ErrorKind::closed, "the peer has closed the connection");
        std::size_t const n = std::min({max, piece_, input_.size() - read_});
        std::memcpy(out, input_.data() + read_, n);
        read_ += n;
        return n;
    }

    Async<Result<void>> wait_readable() override { co_return Result<void>(); }

    Async<Result<std::size_t>> read_some(char* out, std::size_t max) override { co_return try_read(out, max); }

    Async<Result<void>> write(std::string_view bytes) override {
        if (closed_) co_return fail(ErrorKind::closed, "the connection has been closed");
        if (output_ != nullptr) output_->append(bytes);
        co_return Result<void>();
    }

    Async<Result<void>> start_tls(TlsContext const&) override {
        tls_ = {.active = true, .version = "TLSv1.3", .cipher = "memory", .server_name = {}};
        co_return Result<void>();
    }

    void interrupt() override {}
    TlsInfo tls() const override { return tls_; }
    void expires_after(std::chrono::milliseconds) override {}
    void close() override { closed_ = true; }
    std::string peer_address() const override { return "127.0.0.1"; }
    std::uint16_t peer_port() const override { return 1; }
    std::string local_address() const override { return "127.0.0.1"; }
    std::uint16_t local_port() const override { return 2; }

private:
    std::string input_;
    std::string* output_;
    std::size_t piece_;
    std::size_t read_ = 0;
    TlsInfo tls_;
    bool closed_ = false;
};

}  // namespace

std::unique_ptr<Stream> memory_stream(std::string input, std::string* output, std::size_t piece) {
    return std::make_unique<MemoryStream>(std::move(input), output, std::max<std::size_t>(piece, 1));
}

void run_blocking(Async<void> task) {
    // Kept: a worker may still be on its way out of posting to it when the task has already ended.
    thread_local boost::asio::io_context context{1};
    std::exception_ptr failure;
    context.restart();
    boost::asio::co_spawn(context, std::move(task), [&failure](std::exception_ptr thrown) { failure = thrown; });
    context.run();
    if (failure) std::rethrow_exception(failure);
}

}  // namespace mallard::net
