#include "coordinator/service_meter.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr double kWeight = RobustAverage::kWeight;
constexpr Duration kStretch = std::chrono::milliseconds(200);  // long enough to hold several steps
constexpr std::size_t kFirstTokensKept = 16;

double weight_of(const RobustAverage& average) {
  return std::max(kWeight, 1.0 / static_cast<double>(average.num_samples()));
}

}  // namespace

void ServiceMeter::add(const Step& step, Time now) {
  if (step.rows == 0) return;  // it only closed sequences
  if (step.is_decode && step.was_alone && step.sequences == 1) {
    token_seconds_.add(step.seconds);
    token_context_ += weight_of(token_seconds_) * (step.context - token_context_);
    ++alone_steps_;
  }
  if (step.is_decode && step.streams >= 2) {
    add_to_stretch(step, now);
  } else {
    stretch_ = {};
  }
}

// The first step of a stretch only begins it: its tokens are those of the time before.
void ServiceMeter::add_to_stretch(const Step& step, Time now) {
  if (!stretch_.since) {
    stretch_.since = now;
    return;
  }
  stretch_.tokens += step.rows;
  stretch_.steps += 1;
  stretch_.streams += step.streams;
  stretch_.context += step.context * step.rows;
  const Duration length = now - *stretch_.since;
  if (length < kStretch) return;
  rate_.add(stretch_.tokens / seconds(length));
  const double weight = weight_of(rate_);
  const auto average = [&](double& value, double sample) { value += weight * (sample - value); };
  average(shared_.streams, stretch_.streams / stretch_.steps);
  average(shared_.rows_per_step, stretch_.tokens / stretch_.steps);
  average(shared_.context, stretch_.context / stretch_.tokens);
  stretch_ = {.since = now};
}

void ServiceMeter::add_first_token(const FirstToken& first) {
  if (first_tokens_.size() >= kFirstTokensKept) first_tokens_.pop_front();
  first_tokens_.push_back(first);
}

std::optional<ServiceMeter::OneStream> ServiceMeter::one_stream() const {
  if (alone_steps_ == 0) return std::nullopt;
  return OneStream{.steps = alone_steps_, .context = token_context_, .seconds = token_seconds_.value()};
}

std::optional<ServiceMeter::Shared> ServiceMeter::shared() const {
  if (rate_.num_samples() == 0) return std::nullopt;
  Shared shared = shared_;
  shared.tokens_per_second = rate_.value();
  return shared;
}

}  // namespace shoal
