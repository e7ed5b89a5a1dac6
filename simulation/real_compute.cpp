#include "simulation/real_compute.h"

namespace shoal {

StagesOpened RealCompute::open(const PlanMessage& plan, DeviceId self) {
  stages_ = plan.stages;
  return executor_.open(plan, self);
}

StepDone RealCompute::run(StepFrame frame) {
  const auto rows = static_cast<double>(frame.ids.size());
  const auto units = static_cast<double>(stages_.at(frame.stage).units.size());
  StepDone done = executor_.run(std::move(frame));
  done.seconds = seconds_per_unit_row_ * rows * units;
  return done;
}

ProfileReport RealCompute::profile(const ProfileRequest& request) const {
  ProfileReport report{.model = request.model, .units = {}, .read_bytes_per_second = 1e10};
  for (const TensorRef& tensor : request.tensors) {
    if (!report.units.empty() && report.units.back().unit == tensor.unit) continue;
    report.units.push_back({.unit = tensor.unit,
                            .seconds_batch1 = seconds_per_unit_row_,
                            .seconds_batch32 = seconds_per_unit_row_ * 32,
                            .seconds_per_1k_context = 0});
  }
  return report;
}

}  // namespace shoal
