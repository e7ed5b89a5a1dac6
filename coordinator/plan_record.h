#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "coordinator/device_speed.h"
#include "coordinator/robust_average.h"
#include "transport/messages.h"

namespace shoal {

// What the stages and hops of the plan that serves have taken so far, by size of step. Stages tell with their
// beats. Hops are timed by two devices' clocks, whose difference is unknown: around the whole pipeline these
// differences cancel out, so the sum of all hops is exact; among the hops it is shared so that each one's
// least time is what its link's probe says and an equal share of what the probes do not explain. Pure.
class PlanRecord {
 public:
  // What steps of one class took: means, and the mean step that took it.
  struct Means {
    std::uint64_t steps = 0;
    Visit visit;
    double seconds = 0;
  };

  void begin(std::size_t num_stages);
  std::size_t num_stages() const { return stages_.size(); }

  // A stage's part of a beat; stage < num_stages(). Also times the hop that led to it.
  void add_work(const StageWork& work, Time now);
  // One answer on its way from the last stage to the hub.
  void add_return(const Visit& visit, double transit_seconds, Time now);

  // Nothing where no step of the class was seen. Seconds of computing.
  std::optional<Means> stage(std::size_t stage, std::uint32_t row_class) const;
  double hand_over(std::size_t stage) const { return stages_[stage].hand_over.value(); }
  // Hop i leads to stage i, the last one to the hub. `probed[i]`: what a hop of the smallest frame takes
  // after its link's probe; a negative one says that both ends are one device, whose clock is its own.
  // Nothing where no step of the class was seen, or some hop was not timed at all.
  std::optional<Means> hop(std::size_t hop, std::uint32_t row_class, const std::vector<double>& probed) const;

 private:
  struct Sized {
    std::uint64_t steps = 0;
    Visit visit;
    RobustAverage seconds;
    void add(std::uint64_t num_steps, const Visit& mean, double mean_seconds);
    std::optional<Means> means() const;
  };
  // Of the present and the last stretch of time: clocks drift apart.
  struct RecentLeast {
    std::optional<double> present;
    std::optional<double> last;
    Time since{};
    void add(double sample, Time now);
    std::optional<double> value() const;
  };
  struct Stage {
    std::array<Sized, kNumRowClasses> work;
    RobustAverage hand_over;
  };
  struct Hop {
    std::array<Sized, kNumRowClasses> transit;
    RecentLeast least;
  };

  std::vector<Stage> stages_;
  std::vector<Hop> hops_;  // one more
};

}  // namespace shoal
