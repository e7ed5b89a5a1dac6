#pragma once

#include <string>
#include <vector>

#include "coordinator/cluster_state.h"
#include "simulation/capacity_report.h"

namespace shoal {

// Follows each failure of a simulated cluster through the hub's own state: when it was noticed, when a plan
// served again, when the first token came. Looked at after every event of the hub; seconds since arrivals
// began.
class RecoveryWatch {
 public:
  void begin(const PlannedFailure& failure, const std::string& pipeline, DeviceId device,
             const ClusterState& hub, double now);
  void look(const ClusterState& hub, double now);
  void token(double now);
  // The device is back: what was not noticed by now never will be.
  void restored(DeviceId device);

  const std::vector<RecoveryReport>& reports() const { return reports_; }

 private:
  struct Open {
    std::size_t report = 0;
    DeviceId device{};
    Epoch epoch{};  // that served when it failed
  };
  std::vector<RecoveryReport> reports_;
  std::vector<Open> open_;
};

}  // namespace shoal
