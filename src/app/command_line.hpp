#pragma once
// The command line: what `mallard --help` says, and who does it.

namespace mallard::app {

// Exit status: 0 done, 1 failed (said on stderr), 2 the command line is wrong.
int run_command_line(int argc, char** argv);

}  // namespace mallard::app
