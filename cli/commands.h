#pragma once

namespace CLI {
class App;
}

namespace shoal {

// Each adds one subcommand; its callback sets `status`: 0 done, 1 failed (what, where and what to do are on
// stderr), 2 misused.
void add_coordinator_command(CLI::App& app, int& status);
void add_up_command(CLI::App& app, int& status);
void add_chat_command(CLI::App& app, int& status);
void add_run_command(CLI::App& app, int& status);
void add_status_command(CLI::App& app, int& status);
void add_plan_command(CLI::App& app, int& status);
void add_simulate_command(CLI::App& app, int& status);
void add_score_command(CLI::App& app, int& status);
void add_bench_command(CLI::App& app, int& status);
void add_tokenize_command(CLI::App& app, int& status);
void add_pull_command(CLI::App& app, int& status);

void add_commands(CLI::App& app, int& status);

}  // namespace shoal
