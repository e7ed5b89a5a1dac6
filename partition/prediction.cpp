#include "partition/prediction.h"

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

#include "partition/cost.h"
#include "partition/planner.h"
#include "partition/problem_check.h"

namespace shoal {
namespace {

// One prompt's chunks on their way. Chunks cannot overtake one another, so those under way are a window of
// them.
class PromptWalk {
 public:
  PromptWalk(const PlanProblem& problem, std::span<const PlannedStage> stages)
      : problem_(problem),
        stages_(stages),
        rows_(problem.chunk_tokens == 0 ? problem.prompt_tokens : problem.chunk_tokens),
        num_chunks_((problem.prompt_tokens + rows_ - 1) / rows_),
        device_free_(problem.devices.size(), 0.0),
        link_free_(stages.size() + 1, 0.0) {}

  double run() {
    double done = 0;
    while (num_started_ < num_chunks_ || !under_way_.empty()) {
      if (num_started_ < num_chunks_ && (under_way_.empty() || under_way_.back().stage > 0)) start_chunk();
      Chunk& chunk = soonest();
      if (visit(chunk)) {
        done = chunk.ready;
        under_way_.pop_front();
      }
    }
    return done;
  }

 private:
  struct Chunk {
    std::uint32_t number = 0;
    std::size_t stage = 0;
    double ready = 0;  // when its rows are at the stage's device
  };

  double rows_of(std::uint32_t number) const {
    return number + 1 < num_chunks_ ? rows_ : problem_.prompt_tokens - number * rows_;
  }

  void start_chunk() {
    const LinkProfile& link = problem_.from_hub[stages_.front().device];
    Chunk chunk{.number = num_started_++};
    chunk.ready = send(0, link, rows_of(chunk.number) * static_cast<double>(problem_.input_bytes), 0);
    under_way_.push_back(chunk);
  }

  // When bytes that are ready at `at` have arrived over the hop before stage `hop`.
  double send(std::size_t hop, const LinkProfile& link, double bytes, double at) {
    if (link.closed) return kNever;
    link_free_[hop] = std::max(link_free_[hop], at) + bytes / link.bytes_per_second;
    return link_free_[hop] + link.latency;
  }

  Chunk& soonest() {
    const auto start = [&](const Chunk& chunk) {
      return std::max(chunk.ready, device_free_[stages_[chunk.stage].device]);
    };
    return *std::min_element(under_way_.begin(), under_way_.end(),
                             [&](const Chunk& a, const Chunk& b) { return start(a) < start(b); });
  }

  // True once its answer is at the hub.
  bool visit(Chunk& chunk) {
    const auto [device, units] = stages_[chunk.stage];
    double& free = device_free_[device];
    free = std::max(chunk.ready, free) + stage_seconds(device, units, chunk.number);
    const std::size_t next = ++chunk.stage;
    if (next == stages_.size()) {
      chunk.ready = send(next, problem_.to_hub[device], static_cast<double>(problem_.result_bytes), free);
      return true;
    }
    const std::uint32_t to = stages_[next].device;
    const double bytes =
        rows_of(chunk.number) * static_cast<double>(problem_.units[units.end - 1].output_bytes);
    chunk.ready = to == device ? free : send(next, problem_.links[device][to], bytes, free);
    return false;
  }

  double stage_seconds(std::uint32_t device, Range units, std::uint32_t number) const {
    const std::uint32_t head = layers_of(problem_).end;
    const bool answers = number + 1 == num_chunks_;
    const double before = static_cast<double>(number) * rows_;
    double seconds = problem_.devices[device].step_overhead;
    for (std::uint32_t u = units.begin; u < units.end; ++u) {
      if (u >= head && !answers) continue;
      const UnitCost& cost = problem_.devices[device].units[u];
      const double rows = u >= head ? 1 : rows_of(number);
      const double context = u >= head ? before + rows_of(number) : before + rows / 2;
      seconds += cost.decode + std::max(0.0, cost.batch32 - cost.decode) / 31 * (rows - 1);
      seconds += rows * context * cost.per_1k_context / 1000;
    }
    return seconds;
  }

  const PlanProblem& problem_;
  std::span<const PlannedStage> stages_;
  std::uint32_t rows_;
  std::uint32_t num_chunks_;
  std::vector<double> device_free_;
  std::vector<double> link_free_;  // per hop: before each stage, and back to the hub
  std::deque<Chunk> under_way_;
  std::uint32_t num_started_ = 0;
};

double longest_load(const PlanProblem& problem, std::span<const PlannedStage> stages) {
  std::vector<double> seconds(problem.devices.size(), 0.0);
  if (problem.expected_tokens <= 0) return 0;
  for (const PlannedStage& stage : stages) {
    for (std::uint32_t u = stage.units.begin; u < stage.units.end; ++u)
      seconds[stage.device] += load_seconds(problem, stage.device, u);
  }
  return *std::max_element(seconds.begin(), seconds.end());
}

}  // namespace

double first_token_seconds(const PlanProblem& problem, std::span<const PlannedStage> stages) {
  return problem.prompt_tokens == 0 ? 0 : PromptWalk(problem, stages).run();
}

StreamRate stream_rate(const PlanProblem& problem, std::span<const PlannedStage> stages) {
  StreamRate best;
  const auto k = std::max<std::uint32_t>(1, problem.num_streams);
  const std::size_t most = std::min<std::size_t>(k, num_distinct_devices(stages) + 2);
  for (std::size_t m = 1; m <= most; ++m) {
    const double rows = static_cast<double>(k) / static_cast<double>(m);
    const double busy = StageTimes(problem, Objective::Throughput, rows, Loading::Ignored).plan(stages) *
                        rows * static_cast<double>(m);
    const double round = StageTimes(problem, Objective::Latency, rows, Loading::Ignored).plan(stages);
    const double tokens_per_second = k / std::max({busy, round, 1e-12});
    if (tokens_per_second > best.tokens_per_second) best = {tokens_per_second, static_cast<std::uint32_t>(m)};
  }
  return best;
}

Result<Prediction> predict(const PlanProblem& problem, const std::vector<PlannedStage>& stages) {
  if (Status checked = check_problem(problem); !checked) return fail(checked.error());
  if (Status checked = check_stages(problem, stages); !checked) return fail(checked.error());
  Prediction prediction;
  const StageTimes one_row(problem, Objective::Latency, 1.0, Loading::Ignored);
  prediction.seconds_per_token = one_row.plan(stages);
  prediction.bottleneck_seconds =
      busyness(problem, num_distinct_devices(stages), Loading::Ignored).plan(stages);
  const StreamRate rate = stream_rate(problem, stages);
  prediction.tokens_per_second = rate.tokens_per_second;
  prediction.num_micro_batches = rate.num_micro_batches;
  prediction.hop_seconds.push_back(one_row.entry(stages.front().device));
  for (std::size_t i = 0; i < stages.size(); ++i) {
    const auto [device, units] = stages[i];
    if (i > 0) prediction.hop_seconds.push_back(one_row.hop(stages[i - 1].device, device, units.begin));
    prediction.stage_seconds.push_back(one_row.stage(device, units.begin, units.end));
  }
  prediction.hop_seconds.push_back(one_row.exit(stages.back().device));
  prediction.memory_bytes = device_memory(problem, stages);
  prediction.time_to_first_token = first_token_seconds(problem, stages);
  prediction.load_seconds = longest_load(problem, stages);
  return prediction;
}

}  // namespace shoal
