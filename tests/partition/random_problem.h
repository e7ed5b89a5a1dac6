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

// A cluster as a city has it: a model of 30 layers (all alike, or local and global ones as Gemma has them)
// with an embedding and a head of several layers' bytes; devices of unequal speed and memory, which together
// hold `total_memory` times the model; asymmetric links from wire to poor Wi-Fi. As problem files ask: one
// row a step, no device twice but the one that closes the ring.
struct ClusterShape {
  std::uint32_t num_devices = 12;
  std::uint32_t num_layers = 30;
  bool uniform_layers = true;
  double total_memory = 2;
  bool similar_devices = false;  // within 5 per cent of each other
  Ring ring = Ring::NoDevice;
};
PlanProblem random_cluster(std::uint64_t seed, const ClusterShape& shape);

// Adds what a problem may also ask: pins, bans, closed links, who may close the ring, standby, several
// sequences, and what a change of plan would have to load. Some problems then have no plan.
void add_random_rules(PlanProblem& problem, std::uint64_t seed);

// `num_devices` alike, each holding the whole model, on equal links.
PlanProblem equal_devices(std::uint32_t num_devices, std::uint32_t num_layers);

// The same problem with device i in the place order[i].
PlanProblem relabelled(const PlanProblem& problem, const std::vector<std::uint32_t>& order);

void add_random_device(PlanProblem& problem, std::mt19937_64& random, const ProblemShape& shape);

}  // namespace shoal
