#include "tests/cli/child_output.h"

#include <poll.h>
#include <sys/wait.h>

#include "base/check.h"

namespace shoal {

ProgramRun run_program(const ChildCommand& command) {
  Result<ChildProcess> child = ChildProcess::start(command);
  SHOAL_CHECK(child.has_value());
  ProgramRun run;
  for (;;) {
    pollfd waiting{child->output(), POLLIN, 0};
    ::poll(&waiting, 1, 20);
    const std::optional<int> exit = child->poll_exit();
    for (std::string more; !(more = child->read_output()).empty();) run.output += more;
    if (!exit) continue;
    run.status = WIFEXITED(*exit) ? WEXITSTATUS(*exit) : 128 + WTERMSIG(*exit);
    return run;
  }
}

}  // namespace shoal
