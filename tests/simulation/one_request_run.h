#pragma once

#include <doctest/doctest.h>

#include "tests/simulation/judged_requests.h"

namespace shoal {

// 40 tokens of prompt, 60 of answer, at temperature 0.9.
inline JudgedRequest long_answer(const TinyModel& model) {
  InferenceRequest request;
  for (TokenId i = 0; i < 40; ++i) request.prompt.push_back((3 + 37 * i) % 590);
  request.max_tokens = 60;
  request.ignore_end = request.has_seed = true;
  request.sampling.temperature = 0.9f;
  request.sampling.seed = 7;
  return judge(model, std::move(request));
}

// A serving cluster and one request that something happens to.
struct Run {
  Run(const TinyModel& model, SimClusterOptions options)
      : judged(long_answer(model)), cluster(serving_cluster(std::move(options))) {}

  void ask_and_wait_for(std::size_t tokens) {
    id = cluster->submit(judged.request);
    REQUIRE(cluster->run_until([&] { return cluster->answer(id).tokens.size() >= tokens; }));
  }
  std::string end(Duration limit = std::chrono::seconds(60)) {
    (void)cluster->run_until([&] { return has_ended(cluster->events_of(id)); }, limit);
    return fault_in(judged, cluster->events_of(id), false);
  }
  DeviceId device_of(std::size_t stage) const { return cluster->hub().active->device_of(stage); }

  JudgedRequest judged;
  std::unique_ptr<SimCluster> cluster;
  RequestId id = 0;
};

// A step takes long enough for something to happen meanwhile.
inline SimClusterOptions slow_devices(const TinyModel& model, std::size_t count, std::uint64_t seed) {
  SimClusterOptions options = sim_options(model, count, seed);
  for (SimDevice& device : options.devices) device.seconds_per_unit_row = 300e-6;
  return options;
}

}  // namespace shoal
