#pragma once

#include <string>
#include <vector>

#include "cli/child_process.h"

namespace shoal {

struct ProgramRun {
  int status = -1;     // exit status; 128 + the signal's number where one ended it
  std::string output;  // stdout and stderr as they came
};

// Runs a program to its end. Fails the test's process where it cannot be started.
ProgramRun run_program(const ChildCommand& command);

}  // namespace shoal
