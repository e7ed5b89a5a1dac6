#pragma once

#include <atomic>

namespace shoal {

// Set by SIGINT, SIGTERM and SIGHUP once they are caught. A program that lives on after Ctrl-C sets it back.
std::atomic<bool>& stop_requested();
// Set by SIGTERM and SIGHUP alone: whoever sends those wants the program gone, not just its answer.
std::atomic<bool>& end_requested();
void catch_stop_signals();

}  // namespace shoal
