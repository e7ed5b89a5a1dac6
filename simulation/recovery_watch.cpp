#include "simulation/recovery_watch.h"

#include <algorithm>

#include "coordinator/cluster_view.h"

namespace shoal {

void RecoveryWatch::begin(const PlannedFailure& failure, const std::string& pipeline, DeviceId device,
                          const ClusterState& hub, double now) {
  RecoveryReport report{.device = failure.device, .pipeline = pipeline, .kind = failure.kind, .at = now};
  const bool serves = hub.active && hub.active_is_whole;
  report.had_part = serves && hub.active->uses(device);
  if (report.had_part) report.held = describe_holdings(hub.model.config, *hub.active, device);
  open_.push_back({reports_.size(), device, hub.active ? hub.active->epoch : Epoch{0}});
  reports_.push_back(std::move(report));
}

void RecoveryWatch::look(const ClusterState& hub, double now) {
  for (const Open& open : open_) {
    RecoveryReport& report = reports_[open.report];
    if (report.detected_after < 0) {
      const auto member = hub.members.find(open.device);
      const bool noticed = member == hub.members.end() || !member->second.online;
      if (noticed) report.detected_after = now - report.at;
    }
    const bool serves_anew = hub.phase == Phase::Ready && hub.active && hub.active_is_whole &&
                             raw(hub.active->epoch) > raw(open.epoch);
    if (report.had_part && report.detected_after >= 0 && report.serving_after < 0 && serves_anew)
      report.serving_after = now - report.at;
  }
  // Those without a part need nothing more once they are noticed.
  std::erase_if(open_, [&](const Open& open) {
    const RecoveryReport& report = reports_[open.report];
    return report.detected_after >= 0 && (!report.had_part || report.token_after >= 0);
  });
}

void RecoveryWatch::token(double now) {
  for (const Open& open : open_) {
    RecoveryReport& report = reports_[open.report];
    if (report.serving_after >= 0 && report.token_after < 0) report.token_after = now - report.at;
  }
}

void RecoveryWatch::restored(DeviceId device) {
  std::erase_if(open_, [&](const Open& open) {
    return open.device == device && reports_[open.report].detected_after < 0;
  });
}

}  // namespace shoal
