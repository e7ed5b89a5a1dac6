#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "base/clock.h"
#include "coordinator/robust_average.h"

namespace shoal {

// What requests met under the plan that serves, together with the conditions that they met it under, so that
// a prediction can be made for the very same: a single stream's time per token, the time to a first token,
// and how many tokens several streams got together. The scheduler tells it of steps; pure.
class ServiceMeter {
 public:
  // A step that came back, by what it carried.
  struct Step {
    std::uint32_t rows = 0;
    std::uint32_t sequences = 0;
    double context = 0;         // mean position of its rows
    bool is_decode = false;     // one row of each
    bool was_alone = false;     // nothing else was in flight with it
    std::uint32_t streams = 0;  // that decode, whether in this step or in others
    double seconds = 0;         // from leaving the hub to its answer
  };
  // A first token whose request had the pipeline for itself.
  struct FirstToken {
    std::uint32_t prompt_rows = 0;
    double seconds = 0;
  };
  struct OneStream {
    std::uint64_t steps = 0;
    double context = 0;
    double seconds = 0;  // per token
  };
  struct Shared {
    double streams = 0;
    double rows_per_step = 0;
    double context = 0;
    double tokens_per_second = 0;
  };

  void add(const Step& step, Time now);
  void add_first_token(const FirstToken& first);
  void clear() { *this = {}; }

  std::optional<OneStream> one_stream() const;
  std::optional<Shared> shared() const;  // while two streams or more decode and no prompt is in between
  const std::deque<FirstToken>& first_tokens() const { return first_tokens_; }  // the latest, oldest first

 private:
  struct Stretch {  // of decode steps one after another
    std::optional<Time> since;
    double tokens = 0;
    double steps = 0;
    double streams = 0;  // times steps
    double context = 0;  // times tokens
  };
  void add_to_stretch(const Step& step, Time now);

  RobustAverage token_seconds_;
  double token_context_ = 0;
  std::uint64_t alone_steps_ = 0;
  std::deque<FirstToken> first_tokens_;
  Stretch stretch_;
  RobustAverage rate_;
  Shared shared_;
};

}  // namespace shoal
