#pragma once
// SHA-256 of bytes that come in pieces, so that what is hashed need not lie in memory whole. Not thread-safe.

#include <memory>
#include <string>
#include <string_view>

namespace mallard {

class Sha256 {
public:
    Sha256();
    ~Sha256();
    void update(std::string_view bytes);
    std::string finish();  // 32 bytes; once

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mallard
