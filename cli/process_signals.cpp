#include "cli/process_signals.h"

#include <signal.h>

namespace shoal {
namespace {

std::atomic<bool> g_stop{false};
std::atomic<bool> g_end{false};

void on_signal(int number) {
  g_stop = true;
  if (number != SIGINT) g_end = true;
}

}  // namespace

std::atomic<bool>& stop_requested() { return g_stop; }
std::atomic<bool>& end_requested() { return g_end; }

void catch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) ::sigaction(number, &action, nullptr);
}

}  // namespace shoal
