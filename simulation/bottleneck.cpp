#include "simulation/bottleneck.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <set>

#include "partition/planner.h"

namespace shoal {
namespace {

constexpr double kBusy = 0.7;          // a queue forms before something is at its very end
constexpr double kWorthSaying = 1.05;  // what one more device must bring at least
constexpr double kManyWait = 1;        // requests, over time
constexpr std::size_t kMostKindsTried = 4;

std::string percent(double share) { return std::to_string(std::lround(share * 100)) + " %"; }
std::string rounded(double number) {
  char text[32];
  std::snprintf(text, sizeof text, number < 10 ? "%.2f" : number < 100 ? "%.1f" : "%.0f", number);
  return text;
}

// The problem with one more device, like the one at `like` and beside it in the network.
PlanProblem with_twin(const PlanProblem& problem, std::size_t like) {
  PlanProblem larger = problem;
  larger.devices.push_back(problem.devices[like]);
  larger.devices.back().name += " (another)";
  larger.from_hub.push_back(problem.from_hub[like]);
  larger.to_hub.push_back(problem.to_hub[like]);
  for (std::size_t from = 0; from < problem.links.size(); ++from)
    larger.links[from].push_back(from == like ? problem.from_hub[like] : problem.links[from][like]);
  std::vector<LinkProfile> row = problem.links[like];
  row[like] = problem.to_hub[like];
  row.push_back({0, 1e12});
  larger.links.push_back(std::move(row));
  return larger;
}

struct Addition {
  std::string kind;
  double gain = 0;  // speed with it over speed without
};

// What the advice is about: how much the busiest device or link can pass, with steps of as many rows as there
// were, or how soon one stream's token comes.
enum class Wanted { Throughput, Latency };

double seconds_of(const Prediction& prediction, Wanted wanted) {
  return wanted == Wanted::Latency ? prediction.seconds_per_token : prediction.bottleneck_seconds;
}

// The problem that the plan which serves was made for, as the load turned out to be.
PlanProblem problem_of(const CapacityRun& run, Wanted wanted) {
  PlanProblem problem = run.hub().active->problem;
  problem.objective = wanted == Wanted::Latency ? Objective::Latency : Objective::Throughput;
  problem.rows_per_step = run.mean_rows_per_step();
  return problem;
}

// The kind of device, of those that are there, of which one more brings most over `seconds`.
Addition best_addition(const CapacityRun& run, const PlanProblem& problem, Wanted wanted, double seconds) {
  Addition best;
  std::set<std::string> tried;
  const std::vector<DeviceId>& devices = run.hub().active->devices;
  for (std::size_t i = 0; i < devices.size() && tried.size() < kMostKindsTried; ++i) {
    const CapacityDevice& device = run.pipeline().devices[raw(devices[i]) - 1];
    const std::string kind = device.kind.empty() ? "device like " + device.name : device.kind;
    if (!tried.insert(kind).second) continue;
    const Result<Plan> plan = make_plan(with_twin(problem, i));
    const double gain = plan ? seconds / seconds_of(plan->prediction, wanted) : 0;
    if (gain > best.gain) best = {kind, gain};
  }
  return best;
}

// First what another plan over the same devices would bring, then one more device.
std::string advice(const CapacityRun& run, Wanted wanted) {
  if (!run.hub().active) return "";
  const PlanProblem problem = problem_of(run, wanted);
  const Result<Prediction> now = predict(problem, run.hub().active->plan.stages);
  const Result<Plan> best_plan = make_plan(problem);
  if (!now || !best_plan) return "";
  const char* objective = wanted == Wanted::Latency ? "latency" : "throughput";
  const char* what = wanted == Wanted::Latency ? " faster tokens" : " more";
  const double best_seconds = seconds_of(best_plan->prediction, wanted);
  const double replanned = seconds_of(*now, wanted) / best_seconds;
  std::string text;
  if (replanned >= kWorthSaying) {
    text = std::string("; a plan for ") + objective + " would bring " + percent(replanned - 1) + what +
           " with what is there";
  }
  const Addition addition = best_addition(run, problem, wanted, best_seconds);
  if (addition.gain < kWorthSaying)
    return text + "; by the planner's account one more device of a kind that is there would not help";
  return text + "; one more " + addition.kind + " would bring " + percent(addition.gain - 1) + what +
         (replanned >= kWorthSaying ? " than that" : "");
}

const CapacityRun& run_named(const std::vector<const CapacityRun*>& runs, const std::string& pipeline) {
  return **std::ranges::find_if(runs,
                                [&](const CapacityRun* run) { return run->pipeline().name == pipeline; });
}

std::string device_sentence(const DeviceUse& device, const CapacityReport& report, const CapacityRun& run) {
  double next = 0;
  for (const DeviceUse& other : report.devices) {
    if (other.pipeline == device.pipeline && other.name != device.name) next = std::max(next, other.busy);
  }
  const std::string what = device.holds.empty() ? device.name : device.name + "'s " + device.holds;
  const bool plural =
      device.holds.find("layers") != std::string::npos || device.holds.find('+') != std::string::npos;
  return what + (plural ? " are" : " is") + " the bottleneck: " + percent(device.busy) +
         " busy, the next device " + percent(next) + advice(run, Wanted::Throughput) + ".";
}

std::string link_sentence(const LinkUseReport& link, const CapacityReport& report) {
  const double mbit = static_cast<double>(link.bytes) * 8 / 1e6 / report.seconds;
  return "the link from " + link.from + " to " + link.to + " is the bottleneck: its wire is taken " +
         percent(link.busy) + " of the time by " + rounded(mbit) +
         " Mbit/s; a faster link there, or a plan that does without it, comes first.";
}

std::string memory_sentence(const PipelineReport& pipeline, const CapacityRun& run, double busiest) {
  const bool by_number = pipeline.mean_running + 1 > run.pipeline().settings.max_sequences;
  const std::string waiting = rounded(pipeline.mean_waiting) + " requests wait on average while " +
                              rounded(pipeline.mean_running) + " run and no device is busier than " +
                              percent(busiest);
  if (by_number) return "max_sequences is the bottleneck: " + waiting + "; raise it, if memory allows.";
  return "room for KV is the bottleneck: " + waiting + "; the plan holds " +
         std::to_string(pipeline.kv_positions) +
         " positions over all requests: more memory, or a shorter context, lets more run.";
}

// Nothing is near its end: what a token waits for.
std::string idle_sentence(const DeviceUse* busiest, const std::vector<const CapacityRun*>& runs) {
  std::string text = "nothing is at its limit under this load";
  if (busiest) text += ": " + busiest->name + " is the busiest at " + percent(busiest->busy);
  const auto slowest = std::ranges::max_element(runs, {}, [](const CapacityRun* run) {
    return run->hub().active ? run->hub().active->plan.prediction.seconds_per_token : 0.0;
  });
  if (slowest == runs.end() || !(*slowest)->hub().active) return text + ".";
  const Prediction& prediction = (*slowest)->hub().active->plan.prediction;
  const double hops = std::accumulate(prediction.hop_seconds.begin(), prediction.hop_seconds.end(), 0.0);
  return text + "; a token of one stream takes " + rounded(prediction.seconds_per_token * 1e3) + " ms, " +
         percent(hops / prediction.seconds_per_token) + " of it on the way between devices" +
         advice(**slowest, Wanted::Latency) + ".";
}

}  // namespace

std::string describe_bottleneck(const CapacityScenario&, const std::vector<const CapacityRun*>& runs,
                                const CapacityReport& report) {
  if (report.tokens == 0) return "no token was made.";
  const auto device = std::ranges::max_element(report.devices, {}, &DeviceUse::busy);
  const auto link = std::ranges::max_element(report.links, {}, &LinkUseReport::busy);
  const double device_busy = device == report.devices.end() ? 0 : device->busy;
  const double link_busy = link == report.links.end() ? 0 : link->busy;
  if (link_busy > std::max(kBusy, device_busy)) return link_sentence(*link, report);
  if (device_busy >= kBusy) return device_sentence(*device, report, run_named(runs, device->pipeline));
  const auto waiting = std::ranges::max_element(report.pipelines, {}, &PipelineReport::mean_waiting);
  if (waiting->mean_waiting >= kManyWait)
    return memory_sentence(*waiting, run_named(runs, waiting->name), device_busy);
  return idle_sentence(device == report.devices.end() ? nullptr : &*device, runs);
}

}  // namespace shoal
