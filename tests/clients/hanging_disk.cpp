// LD_PRELOAD: while the file $MALLARD_TEST_HANGING_DISK exists, writing to disk never ends, as with a dead disk or
// server.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>

namespace {

int call(char const* name, int fd) {
    char const* const file = std::getenv("MALLARD_TEST_HANGING_DISK");
    while (file != nullptr && ::access(file, F_OK) == 0) ::usleep(10'000);
    return reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, name))(fd);
}

}  // namespace

extern "C" int fsync(int fd) { return call("fsync", fd); }
extern "C" int fdatasync(int fd) { return call("fdatasync", fd); }
