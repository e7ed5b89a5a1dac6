#include "simulation/capacity_summary.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "coordinator/cluster_view.h"

namespace shoal {
namespace {

constexpr std::size_t kMostReasons = 5;

void add_requests(const std::vector<RequestTrace>& traces, CapacityReport& report) {
  std::vector<double> first, between, whole;
  std::set<std::string> reasons;
  for (const RequestTrace& trace : traces) {
    report.prompt_tokens += trace.prompt_tokens;
    report.tokens += trace.token_at.size();
    if (!trace.token_at.empty()) first.push_back(trace.token_at.front() - trace.asked_at);
    for (std::size_t i = 1; i < trace.token_at.size(); ++i)
      between.push_back(trace.token_at[i] - trace.token_at[i - 1]);
    if (!trace.has_ended()) {
      ++report.unanswered;
    } else if (trace.failure.empty()) {
      ++report.finished;
      whole.push_back(trace.ended_at - trace.asked_at);
    } else {
      ++report.failed;
      if (reasons.size() < kMostReasons) reasons.insert(trace.failure);
    }
  }
  report.requests = traces.size();
  report.failure_reasons.assign(reasons.begin(), reasons.end());
  report.first_token = quantiles_of(first);
  report.between_tokens = quantiles_of(between);
  report.answer = quantiles_of(whole);
}

// What clients of the requests that ran saw of a failure: the gap that it fell into.
void add_pauses(const std::vector<RequestTrace>& traces, const CapacityPipeline& pipeline,
                RecoveryReport& recovery) {
  std::vector<double> pauses;
  for (const RequestTrace& trace : traces) {
    if (trace.pipeline != &pipeline) continue;
    const auto after = std::ranges::upper_bound(trace.token_at, recovery.at);
    if (after == trace.token_at.begin() || after == trace.token_at.end()) continue;
    pauses.push_back(*after - *(after - 1));
  }
  if (!recovery.had_part || pauses.empty()) return;
  const Quantiles q = quantiles_of(pauses);
  recovery.requests_hit = static_cast<std::uint32_t>(q.count);
  recovery.median_pause = q.p50;
  recovery.longest_pause = q.most;
}

PipelineReport pipeline_report(const CapacityRun& run) {
  PipelineReport report{.name = run.pipeline().name};
  report.startup_seconds = run.startup_seconds();
  report.requests = run.num_requests();
  report.tokens = run.num_tokens();
  report.mean_running = run.mean_running();
  report.mean_waiting = run.mean_waiting();
  if (!run.hub().active) return report;
  const PlanVersion& version = *run.hub().active;
  const Prediction& prediction = version.plan.prediction;
  report.predicted_seconds_per_token = prediction.seconds_per_token;
  report.predicted_bottleneck_seconds = prediction.bottleneck_seconds;
  report.optimal = version.plan.optimal;
  report.kv_positions = version.kv_positions;
  for (std::size_t stage = 0; stage < version.plan.stages.size(); ++stage) {
    const Range units = version.plan.stages[stage].units;
    report.stages.push_back({.device = run.hub().members.at(version.device_of(stage)).name,
                             .units = units,
                             .holds = describe_units(run.hub().model.config, units)});
    if (stage < prediction.stage_seconds.size())
      report.stages.back().predicted_seconds = prediction.stage_seconds[stage];
  }
  return report;
}

std::uint64_t planned_memory(const CapacityRun& run, std::size_t device) {
  if (!run.hub().active) return 0;
  const PlanVersion& version = *run.hub().active;
  const auto place = std::ranges::find(version.devices, static_cast<DeviceId>(device + 1));
  const auto index = static_cast<std::size_t>(place - version.devices.begin());
  const std::vector<std::uint64_t>& memory = version.plan.prediction.memory_bytes;
  return index < memory.size() ? memory[index] : 0;
}

void add_devices(const CapacityRun& run, CapacityReport& report) {
  const std::vector<CapacityDevice>& devices = run.pipeline().devices;
  for (std::size_t i = 0; i < devices.size(); ++i) {
    DeviceUse use{.name = devices[i].name, .kind = devices[i].kind, .pipeline = run.pipeline().name};
    use.holds = run.holds(i);
    use.busy = report.seconds > 0 ? std::min(1.0, run.busy_seconds(i) / report.seconds) : 0;
    use.memory_bytes = planned_memory(run, i);
    if (devices[i].busy_watts > 0)
      use.watts = devices[i].idle_watts + use.busy * (devices[i].busy_watts - devices[i].idle_watts);
    report.watts += use.watts;
    report.devices.push_back(std::move(use));
  }
}

void add_links(const CapacityRun& run, CapacityReport& report) {
  const std::vector<CapacityDevice>& devices = run.pipeline().devices;
  const auto name = [&](std::size_t i) { return i == devices.size() ? "coordinator" : devices[i].name; };
  for (std::size_t from = 0; from <= devices.size(); ++from) {
    for (std::size_t to = 0; to <= devices.size(); ++to) {
      if (from == to) continue;
      const SimLinkUse use = run.use_of(from, to);
      if (use.bytes == 0) continue;
      const double busy = report.seconds > 0 ? std::min(1.0, seconds(use.busy) / report.seconds) : 0;
      report.links.push_back({name(from), name(to), run.pipeline().name, use.bytes, busy});
    }
  }
}

}  // namespace

Quantiles quantiles_of(std::vector<double>& samples) {
  if (samples.empty()) return {};
  std::ranges::sort(samples);
  const auto at = [&](double share) {
    const double rank = std::ceil(share * static_cast<double>(samples.size()));
    return samples[static_cast<std::size_t>(std::max(1.0, rank)) - 1];
  };
  double sum = 0;
  for (const double sample : samples) sum += sample;
  return {samples.size(), sum / static_cast<double>(samples.size()), at(0.5), at(0.95), at(0.99),
          samples.back()};
}

CapacityReport report_of(const CapacityScenario& scenario, const std::vector<const CapacityRun*>& runs,
                         std::vector<RequestTrace>& traces) {
  CapacityReport report;
  for (const CapacityRun* run : runs) report.seconds = std::max(report.seconds, run->last_token_at());
  if (!scenario.arrivals.empty())
    report.seconds = std::max(report.seconds, scenario.arrivals.back().at_seconds);
  add_requests(traces, report);
  for (const CapacityRun* run : runs) {
    report.pipelines.push_back(pipeline_report(*run));
    add_devices(*run, report);
    add_links(*run, report);
    for (RecoveryReport recovery : run->recoveries()) {
      add_pauses(traces, run->pipeline(), recovery);
      report.recoveries.push_back(std::move(recovery));
    }
  }
  std::ranges::stable_sort(report.links, std::greater<>(), &LinkUseReport::busy);
  std::ranges::stable_sort(report.recoveries, {}, &RecoveryReport::at);
  if (report.seconds <= 0) return report;
  report.tokens_per_second = static_cast<double>(report.tokens) / report.seconds;
  report.requests_per_second = static_cast<double>(report.finished) / report.seconds;
  const double last = scenario.arrivals.empty() ? 0 : scenario.arrivals.back().at_seconds;
  if (last > 0) report.offered_per_second = static_cast<double>(scenario.arrivals.size()) / last;
  if (report.tokens > 0)
    report.joules_per_token = report.watts * report.seconds / static_cast<double>(report.tokens);
  return report;
}

}  // namespace shoal
