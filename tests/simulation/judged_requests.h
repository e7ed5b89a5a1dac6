#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/inference.h"
#include "simulation/sim_cluster.h"
#include "tests/support/random.h"
#include "tests/support/tiny_model.h"

namespace shoal {

inline constexpr std::uint32_t kSimContext = 384;  // positions, in every simulated cluster of these tests

// A request and all that an undisturbed whole model says to it.
struct JudgedRequest {
  InferenceRequest request;
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;  // of tokens
  std::string text;
  std::vector<float> prompt_logprobs;  // echo: one per prompt row but the last
  std::string digest;
};

// Random prompts, lengths, sampling parameters, echo, digests, stop strings.
InferenceRequest random_request(Random& random, std::uint32_t vocab_size);
JudgedRequest judge(const TinyModel& model, InferenceRequest request);
std::vector<JudgedRequest> judged_requests(const TinyModel& model, std::uint64_t seed, std::size_t count);

// "" if the events are exactly one whole and right answer to the request; else what is wrong. `may_fail`: one
// FailedEvent with a reason will do, too.
std::string fault_in(const JudgedRequest& judged, const std::vector<InferenceEvent>& events, bool may_fail);
bool has_ended(const std::vector<InferenceEvent>& events);

SimClusterOptions sim_options(const TinyModel& model, std::size_t num_devices, std::uint64_t seed);
std::unique_ptr<SimCluster> serving_cluster(
    SimClusterOptions options);  // fails the test if it does not serve

// What must hold of a cluster without requests: "" or what does not. Every KV block is free again, at the hub
// and at the workers, and nobody holds a sequence.
std::string leak_in(const SimCluster& cluster);

}  // namespace shoal
