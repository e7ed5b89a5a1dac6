#pragma once

#include <cstdint>
#include <vector>

namespace shoal {

// How many tokens a prompt or an answer has: uniform over [least, most], or, with a median, log-normal about
// it (two thirds of all lie between median / spread and median * spread) and cut to [least, most].
struct LengthRange {
  std::uint32_t least = 1;
  std::uint32_t most = 1;
  double median = 0;  // 0: uniform
  double spread = 2;  // >= 1
};

struct PlannedRequest {
  double at_seconds = 0;  // since the cluster serves
  std::uint32_t prompt_tokens = 1;
  std::uint32_t answer_tokens = 1;  // all of them are generated
  friend bool operator==(const PlannedRequest&, const PlannedRequest&) = default;
};

// Who asks for what and when: a trace as it is, or a Poisson process.
struct ArrivalPlan {
  double per_second = 1;
  std::uint32_t requests = 100;
  double seconds = 0;  // arrivals end then; 0: with the last of `requests`
  LengthRange prompt{20, 200};
  LengthRange answer{20, 120};
  std::uint64_t seed = 1;
  std::vector<PlannedRequest> trace;  // in order; then nothing above counts but `requests` and `seconds`
};

// The requests, in order of time. The same plan gives the same requests; more requests, or faster ones, leave
// the lengths of the others as they were. Pure.
std::vector<PlannedRequest> make_arrivals(const ArrivalPlan& plan);

}  // namespace shoal
