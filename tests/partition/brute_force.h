#pragma once

#include <optional>
#include <vector>

#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// Slow and obvious twins of the planner's cost model and search, written from the formulas in
// partition/cost.h.
// `loading`: what a device must load first counts too, as it does in choosing a plan.
double slow_latency(const PlanProblem& problem, const std::vector<PlannedStage>& stages,
                    bool loading = false);
double slow_bottleneck(const PlanProblem& problem, const std::vector<PlannedStage>& stages,
                       bool loading = false);
// Memory, and every rule: pins, bans, closed links, the ring, most_bottleneck.
bool slow_fits(const PlanProblem& problem, const std::vector<PlannedStage>& stages);
bool slow_obeys(const PlanProblem& problem, const std::vector<PlannedStage>& stages);

// Distinct devices that hold at least one layer.
std::size_t num_layer_devices(const PlanProblem& problem, const std::vector<PlannedStage>& stages);

struct BruteForceBest {
  double objective = 0;
  double latency = 0;           // least among plans of that objective (Latency: and number of devices)
  std::size_t num_devices = 0;  // Latency: fewest among plans of that objective
};

// Every plan that the rules and the memory allow: every order of every subset, every composition of the
// units, and every return to the first device. What they take counts loading.
struct JudgedPlan {
  std::vector<PlannedStage> stages;
  double latency = 0;
  double bottleneck = 0;
};
std::vector<JudgedPlan> all_plans(const PlanProblem& problem);

// The plan that Objective::Balanced asks for: `objective` is its bottleneck.
std::optional<BruteForceBest> brute_force_balanced(const PlanProblem& problem);

// Tries every order of every subset, every composition of the units, and every return to the first device.
std::optional<BruteForceBest> brute_force(const PlanProblem& problem);

}  // namespace shoal
