#pragma once

#include <cstdint>
#include <random>

#include "partition/problem.h"

namespace shoal {

struct ProblemShape {
  std::uint32_t num_devices = 3;
  std::uint32_t num_layers = 4;  // beside an embedding and a head
  bool uniform_layers = false;
  bool tight_memory = false;     // some problems then have no plan
  bool similar_devices = false;  // within a few per cent of each other, each a fifth of the model
};

// Unequal devices, asymmetric links from wire to poor Wi-Fi, tied embedding and head in half the problems.
PlanProblem random_problem(std::uint64_t seed, const ProblemShape& shape);

// Adds what a problem may also ask: pins, bans, closed links, who may close the ring, standby, several
// sequences, and what a change of plan would have to load. Some problems then have no plan.
void add_random_rules(PlanProblem& problem, std::uint64_t seed);

// `num_devices` alike, each holding the whole model, on equal links.
PlanProblem equal_devices(std::uint32_t num_devices, std::uint32_t num_layers);

// The same problem with device i in the place order[i].
PlanProblem relabelled(const PlanProblem& problem, const std::vector<std::uint32_t>& order);

void add_random_device(PlanProblem& problem, std::mt19937_64& random, const ProblemShape& shape);

}  // namespace shoal
