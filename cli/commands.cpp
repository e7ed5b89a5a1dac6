#include "cli/commands.h"

namespace shoal {

void add_commands(CLI::App& app, int& status) {
  add_up_command(app, status);
  add_run_command(app, status);
  add_chat_command(app, status);
  add_status_command(app, status);
  add_plan_command(app, status);
  add_simulate_command(app, status);
  add_pull_command(app, status);
  add_score_command(app, status);
  add_bench_command(app, status);
  add_tokenize_command(app, status);
  add_coordinator_command(app, status);
}

}  // namespace shoal
