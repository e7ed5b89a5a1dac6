#pragma once

namespace shoal {

// `shoal-worker` and `shoal worker`: argv[0] is the command's name. Returns the process's exit status: 0
// stopped cleanly, 1 failed, 2 misused.
int worker_command(int argc, char** argv);

}  // namespace shoal
