#include "simulation/arrivals.h"

#include <algorithm>
#include <cmath>

#include "simulation/random_stream.h"

namespace shoal {
namespace {

std::uint32_t draw_length(const LengthRange& range, RandomStream& random) {
  if (range.median <= 0) {
    const double width = range.most - range.least + 1.0;
    return range.least + static_cast<std::uint32_t>(random.uniform() * width);
  }
  const double length = range.median * std::pow(range.spread, random.normal());
  return static_cast<std::uint32_t>(std::lround(std::clamp(length, double(range.least), double(range.most))));
}

}  // namespace

std::vector<PlannedRequest> make_arrivals(const ArrivalPlan& plan) {
  std::vector<PlannedRequest> requests = plan.trace;
  if (requests.empty()) {
    RandomStream gaps(plan.seed, "gaps");
    RandomStream prompts(plan.seed, "prompts");
    RandomStream answers(plan.seed, "answers");
    double at = 0;
    for (std::uint32_t i = 0; i < plan.requests; ++i) {
      at += gaps.exponential(1 / plan.per_second);
      if (plan.seconds > 0 && at > plan.seconds) break;
      requests.push_back({at, draw_length(plan.prompt, prompts), draw_length(plan.answer, answers)});
    }
    return requests;
  }
  if (plan.seconds > 0)
    std::erase_if(requests, [&](const PlannedRequest& r) { return r.at_seconds > plan.seconds; });
  if (requests.size() > plan.requests) requests.resize(plan.requests);
  return requests;
}

}  // namespace shoal
