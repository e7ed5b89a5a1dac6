#include "coordinator/plan_record.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr Duration kStretch = std::chrono::seconds(30);
constexpr double kWeight = 0.15;  // as RobustAverage's, so that figures and their conditions age alike

void average(double& value, double sample, double weight) { value += weight * (sample - value); }

}  // namespace

void PlanRecord::Sized::add(std::uint64_t num_steps, const Visit& mean, double mean_seconds) {
  seconds.add(mean_seconds);
  steps += num_steps;
  const double weight = std::max(kWeight, 1.0 / static_cast<double>(seconds.num_samples()));
  if (seconds.num_samples() == 1) visit = mean;
  average(visit.rows, mean.rows, weight);
  average(visit.wanted_rows, mean.wanted_rows, weight);
  average(visit.context, mean.context, weight);
}

std::optional<PlanRecord::Means> PlanRecord::Sized::means() const {
  if (steps == 0) return std::nullopt;
  return Means{.steps = steps, .visit = visit, .seconds = seconds.value()};
}

void PlanRecord::RecentLeast::add(double sample, Time now) {
  if (present && now - since > kStretch) {
    last = present;
    present.reset();
  }
  if (!present) since = now;
  present = std::min(present.value_or(sample), sample);
}

std::optional<double> PlanRecord::RecentLeast::value() const {
  if (!present || !last) return present;
  return std::min(*present, *last);
}

void PlanRecord::begin(std::size_t num_stages) {
  stages_.assign(num_stages, {});
  hops_.assign(num_stages + 1, {});
}

void PlanRecord::add_work(const StageWork& work, Time now) {
  const double steps = work.steps;
  const Visit mean = mean_visit(work);
  Stage& stage = stages_[work.stage];
  stage.work[work.row_class].add(work.steps, mean, work.seconds / steps);
  if (work.idle_steps > 0) stage.hand_over.add(work.hand_over_seconds / work.idle_steps);
  Hop& hop = hops_[work.stage];
  hop.transit[work.row_class].add(work.steps, mean, work.transit_seconds / steps);
  hop.least.add(work.least_transit_seconds, now);
}

void PlanRecord::add_return(const Visit& visit, double transit_seconds, Time now) {
  Hop& hop = hops_.back();
  const auto rows = static_cast<std::uint32_t>(visit.rows);
  hop.transit[row_class_of(rows)].add(1, visit, transit_seconds);
  hop.least.add(transit_seconds, now);
}

std::optional<PlanRecord::Means> PlanRecord::stage(std::size_t stage, std::uint32_t row_class) const {
  return stages_[stage].work[row_class].means();
}

std::optional<PlanRecord::Means> PlanRecord::hop(std::size_t hop, std::uint32_t row_class,
                                                 const std::vector<double>& probed) const {
  std::optional<Means> means = hops_[hop].transit[row_class].means();
  if (!means || probed[hop] < 0) return means;
  double unexplained = 0;
  std::size_t num_links = 0;
  for (std::size_t i = 0; i < hops_.size(); ++i) {
    if (probed[i] < 0) continue;
    const std::optional<double> least = hops_[i].least.value();
    if (!least) return std::nullopt;
    unexplained += *least - probed[i];
    ++num_links;
  }
  const double above_least = means->seconds - *hops_[hop].least.value();
  means->seconds = std::max(0.0, probed[hop] + above_least + unexplained / static_cast<double>(num_links));
  return means;
}

}  // namespace shoal
