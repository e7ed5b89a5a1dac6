#pragma once

#include <atomic>
#include <optional>
#include <string>

#include "base/file_lock.h"
#include "base/result.h"
#include "cli/http_client.h"
#include "cli/process_plan.h"
#include "cli/progress_bar.h"
#include "cli/supervisor.h"

namespace shoal {

// Two `shoal up` over one state directory would take each other's keys and stores.
Result<FileLock> lock_state(const std::string& state_directory);

// One run of `shoal up`: the coordinator, then a worker for each device whose address is this machine's
// (emulated: for every device, after the test hosts they run on), kept running until `stop`. Talks to the
// person on stdout (what is ready, how to use it) and stderr (progress, news).
class UpSession {
 public:
  struct Options {
    ClusterProcesses cluster;
    std::string api_key;
    bool restart = true;
    bool show_logs = false;
  };
  UpSession(Options options, const std::atomic<bool>& stop);

  // Returns when stopped (OK) or when the coordinator cannot run: why, with its last words.
  Status run();

 private:
  Status start_links();
  Status start_coordinator();
  Status start_workers();
  Status wait_until_ready();
  Status serve();
  Status check_coordinator() const;
  void print_ready();
  void print_join_commands();
  struct Health {
    bool answers = false;
    bool ready = false;
    std::string state;
    std::string detail;
    double progress = 0;
  };
  Health look();

  Options options_;
  const std::atomic<bool>& stop_;
  HttpClient client_;
  std::optional<ProgressBar> bar_;
  Supervisor supervisor_;
  Time started_;
};

}  // namespace shoal
