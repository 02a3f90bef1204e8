#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "app/command_line.hpp"

int main(int argc, char** argv) {
    // libmongoc, when it is loaded, makes a file of shared memory named after the process for its counters. Without
    // that name none is left behind by kill -9, to be in the way of the next process of that id.
    shm_unlink(fmt::format("/mongoc-{}", getpid()).c_str());
    std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of a write, not the end of the process
    try {
        return mallard::app::run_command_line(argc, argv);
    } catch (std::exception const& error) {
        std::fprintf(stderr, "mallard: %s\n", error.what());
        return 1;
    }
}
