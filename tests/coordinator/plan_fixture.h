#pragma once

#include <vector>

#include "tests/coordinator/hub_fixture.h"

namespace shoal {

// What the tests of plans ask of a scripted hub.
inline const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

inline ClusterSettings stages(std::uint32_t least) {
  ClusterSettings settings;
  settings.min_stages = least;
  return settings;
}

inline InferenceRequest some_request() {
  InferenceRequest request;
  request.prompt = {1, 2, 3, 4};
  request.max_tokens = 5;
  request.sampling.temperature = 0;
  return request;
}

// The requests that ended with an error, in order.
inline std::vector<const FailedEvent*> failures(const ScriptedHub& hub) {
  std::vector<const FailedEvent*> found;
  for (const DeliverEvent* event : hub.told<DeliverEvent>()) {
    if (const auto* failed = std::get_if<FailedEvent>(&event->event)) found.push_back(failed);
  }
  return found;
}

}  // namespace shoal
