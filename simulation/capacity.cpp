#include "simulation/capacity.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "simulation/bottleneck.h"
#include "simulation/capacity_run.h"
#include "simulation/capacity_summary.h"

namespace shoal {
namespace {

constexpr double kLookSeconds = 1;  // how far a run goes before it is asked whether it is done

using Runs = std::vector<std::unique_ptr<CapacityRun>>;

const CapacityPipeline* pipeline_with(const CapacityScenario& scenario, const std::string& device) {
  for (const CapacityPipeline& pipeline : scenario.pipelines) {
    if (std::ranges::find(pipeline.devices, device, &CapacityDevice::name) != pipeline.devices.end())
      return &pipeline;
  }
  return nullptr;
}

Status check_failures(const CapacityScenario& scenario) {
  for (const PlannedFailure& failure : scenario.failures) {
    const CapacityPipeline* pipeline = pipeline_with(scenario, failure.device);
    if (!pipeline)
      return fail(ErrorCode::InvalidArgument,
                  "no device has the name \"" + failure.device + "\", which is to fail");
    const bool is_host =
        pipeline->hub_beside && pipeline->devices[*pipeline->hub_beside].name == failure.device;
    if (is_host && failure.kind != FailureKind::Process) {
      return fail(ErrorCode::InvalidArgument,
                  failure.device + " cannot lose its " + name_of(failure.kind) +
                      ": the coordinator runs there, and without it there is no cluster to simulate");
    }
  }
  return {};
}

Result<Runs> start_all(const CapacityScenario& scenario, std::vector<RequestTrace>& traces) {
  Runs runs;
  for (const CapacityPipeline& pipeline : scenario.pipelines) {
    runs.push_back(std::make_unique<CapacityRun>(scenario, pipeline, traces));
    if (Status started = runs.back()->start(); !started) {
      const std::string who = pipeline.name.empty() ? "the cluster" : "the cluster " + pipeline.name;
      return fail(started.error().during(who + " does not serve"));
    }
  }
  for (const auto& run : runs) run->begin();
  return runs;
}

// What happens from outside, in order of time.
struct Happening {
  enum class Kind { Arrives, Fails, Returns } kind = Kind::Arrives;
  double at = 0;
  std::size_t index = 0;  // of the request, or of the failure
};

std::vector<Happening> timeline_of(const CapacityScenario& scenario) {
  std::vector<Happening> timeline;
  for (std::size_t i = 0; i < scenario.arrivals.size(); ++i)
    timeline.push_back({Happening::Kind::Arrives, scenario.arrivals[i].at_seconds, i});
  for (std::size_t i = 0; i < scenario.failures.size(); ++i) {
    const PlannedFailure& failure = scenario.failures[i];
    timeline.push_back({Happening::Kind::Fails, failure.at_seconds, i});
    if (failure.lasts_seconds > 0)
      timeline.push_back({Happening::Kind::Returns, failure.at_seconds + failure.lasts_seconds, i});
  }
  std::ranges::stable_sort(timeline, {}, &Happening::at);
  return timeline;
}

CapacityRun& soonest(Runs& runs) {
  return **std::ranges::min_element(runs, {}, [](const auto& run) { return run->expected_wait(); });
}

CapacityRun& run_with(const CapacityScenario& scenario, Runs& runs, const std::string& device) {
  const auto index = static_cast<std::size_t>(pipeline_with(scenario, device) - scenario.pipelines.data());
  return *runs[index];
}

bool all_answered(const Runs& runs) {
  return std::ranges::all_of(runs, [](const auto& run) { return run->num_open() == 0; });
}

void play(const CapacityScenario& scenario, Runs& runs) {
  const std::vector<Happening> timeline = timeline_of(scenario);
  const double last_arrival = scenario.arrivals.empty() ? 0 : scenario.arrivals.back().at_seconds;
  const double end = last_arrival + scenario.patience_seconds;
  double now = 0;
  const auto go_to = [&](double at) {
    for (const auto& run : runs) run->run_until(at);
    now = at;
  };
  std::size_t arrived = 0;
  const auto is_over = [&] { return arrived == scenario.arrivals.size() && all_answered(runs); };
  const auto wait_until = [&](double at) {
    while (now < at && !is_over()) go_to(std::min(at, now + kLookSeconds));
  };
  for (const Happening& happening : timeline) {
    wait_until(happening.at);
    if (is_over() || happening.at > end) break;
    if (happening.kind == Happening::Kind::Arrives) {
      soonest(runs).submit(happening.index, scenario.arrivals[happening.index]);
      ++arrived;
      continue;
    }
    const PlannedFailure& failure = scenario.failures[happening.index];
    CapacityRun& run = run_with(scenario, runs, failure.device);
    happening.kind == Happening::Kind::Fails ? run.take_down(failure) : run.bring_back(failure);
  }
  wait_until(end);
}

}  // namespace

Result<CapacityReport> simulate_capacity(const CapacityScenario& scenario) {
  if (Status sense = check_failures(scenario); !sense) return fail(sense.error());
  std::vector<RequestTrace> traces(scenario.arrivals.size());
  Result<Runs> runs = start_all(scenario, traces);
  if (!runs) return fail(runs.error());
  play(scenario, *runs);
  std::vector<const CapacityRun*> done;
  for (const auto& run : *runs) done.push_back(run.get());
  CapacityReport report = report_of(scenario, done, traces);
  report.bottleneck = describe_bottleneck(scenario, done, report);
  return report;
}

}  // namespace shoal
