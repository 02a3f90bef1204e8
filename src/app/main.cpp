#include <csignal>
#include <cstdio>
#include <exception>

#include "app/command_line.hpp"

int main(int argc, char** argv) {
    std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of a write, not the end of the process
    try {
        return mallard::app::run_command_line(argc, argv);
    } catch (std::exception const& error) {
        std::fprintf(stderr, "mallard: %s\n", error.what());
        return 1;
    }
}
