#include "coordinator/plan_figures.h"

#include <algorithm>
#include <deque>

#include "coordinator/learning.h"

namespace shoal {
namespace {

// Stage and hop times of a plan, by the figures it was made from.
class PlanTimes {
 public:
  explicit PlanTimes(const PlanVersion& version) : version_(version) {}

  std::size_t num_stages() const { return version_.plan.stages.size(); }
  std::uint32_t device(std::size_t stage) const { return version_.plan.stages[stage].device; }

  double compute(std::size_t stage, const Visit& visit) const {
    const PlannedStage& planned = version_.plan.stages[stage];
    return compute_seconds(version_.speeds[planned.device], planned.units, visit);
  }
  double visit(std::size_t stage, const Visit& visit) const {
    return version_.speeds[device(stage)].hand_over + compute(stage, visit);
  }
  // Of hop i: what it takes, and for how long it keeps the link.
  double latency(std::size_t hop) const { return link(hop).latency; }
  double transfer(std::size_t hop, const Visit& visit) const {
    const PlanProblem& problem = version_.problem;
    const std::uint64_t bytes = hop == 0              ? problem.input_bytes
                                : hop == num_stages() ? problem.result_bytes
                                                      : problem.units[first_unit(hop) - 1].output_bytes;
    // To the hub go answers, to a head alone the rows that it answers.
    const bool only_wanted = hop == num_stages() || (hop > 0 && first_unit(hop) + 1 == problem.units.size());
    const double rows = only_wanted ? visit.wanted_rows : visit.rows;
    return rows * static_cast<double>(bytes) / link(hop).bytes_per_second;
  }
  double hop(std::size_t hop, const Visit& visit) const { return latency(hop) + transfer(hop, visit); }

  double round(const Visit& v) const {
    double total = hop(0, v);
    for (std::size_t stage = 0; stage < num_stages(); ++stage) total += visit(stage, v) + hop(stage + 1, v);
    return total;
  }

 private:
  std::uint32_t first_unit(std::size_t stage) const { return version_.plan.stages[stage].units.begin; }
  LinkProfile link(std::size_t hop) const {
    const PlanProblem& problem = version_.problem;
    if (hop == 0) return problem.from_hub[device(0)];
    if (hop == num_stages()) return problem.to_hub[device(hop - 1)];
    return problem.links[device(hop - 1)][device(hop)];
  }

  const PlanVersion& version_;
};

// One resource after another, as chunk after chunk goes through them.
class ChunkSchedule {
 public:
  explicit ChunkSchedule(const PlanTimes& times, std::size_t num_devices)
      : times_(times), device_free_(num_devices, 0), link_free_(times.num_stages() + 1, 0) {}

  // When the chunk is answered, if it leaves the hub at `start`.
  double pass(double start, const Visit& chunk) {
    double at = transfer(0, start, chunk);
    for (std::size_t stage = 0; stage < times_.num_stages(); ++stage) {
      double& device = device_free_[times_.device(stage)];
      device = std::max(at, device) + times_.visit(stage, chunk);
      at = transfer(stage + 1, device, chunk);
    }
    return at;
  }

 private:
  double transfer(std::size_t hop, double ready, const Visit& chunk) {
    double& link = link_free_[hop];
    link = std::max(ready, link) + times_.transfer(hop, chunk);
    return link + times_.latency(hop);
  }

  const PlanTimes& times_;
  std::vector<double> device_free_;
  std::vector<double> link_free_;
};

SizedFigure figure_of(const std::optional<PlanRecord::Means>& measured, auto&& predict) {
  SizedFigure figure;
  if (measured) {
    figure.visit = measured->visit;
    figure.steps = measured->steps;
    figure.seconds.measured = measured->seconds;
  }
  figure.seconds.predicted = predict(figure.visit);
  return figure;
}

// One row always, other classes where they were seen.
std::vector<SizedFigure> sized_figures(auto&& measure, auto&& predict) {
  std::vector<SizedFigure> figures;
  for (std::uint32_t row_class = 0; row_class < kNumRowClasses; ++row_class) {
    const std::optional<PlanRecord::Means> measured = measure(row_class);
    if (measured || row_class == 0) figures.push_back(figure_of(measured, predict));
  }
  return figures;
}

ServiceFigures service_figures(const ClusterState& state) {
  const PlanVersion& version = *state.active;
  const ServiceMeter& meter = state.scheduler.meter();
  ServiceFigures figures;
  figures.context = version.problem.context;
  if (const std::optional<ServiceMeter::OneStream> one = meter.one_stream()) {
    figures.context = one->context;
    figures.token_seconds.measured = one->seconds;
  }
  figures.token_seconds.predicted = predicted_token_seconds(version, figures.context);
  if (const auto& first = meter.first_tokens(); !first.empty()) {
    const double count = static_cast<double>(first.size());
    double measured = 0;
    for (const ServiceMeter::FirstToken& token : first) {
      figures.prompt_rows += token.prompt_rows / count;
      measured += token.seconds / count;
      figures.first_token_seconds.predicted +=
          predicted_first_token_seconds(version, token.prompt_rows, state.settings.scheduler.prefill_chunk) /
          count;
    }
    figures.first_token_seconds.measured = measured;
  }
  if (const std::optional<ServiceMeter::Shared> shared = meter.shared()) {
    figures.streams = shared->streams;
    figures.rows_per_step = shared->rows_per_step;
    figures.tokens_per_second.measured = shared->tokens_per_second;
    figures.tokens_per_second.predicted =
        predicted_tokens_per_second(version, shared->streams, shared->rows_per_step, shared->context);
  }
  return figures;
}

}  // namespace

std::optional<double> Figure::error_percent() const {
  if (!measured || *measured <= 0) return std::nullopt;
  return (*measured - predicted) / *measured * 100;
}

double predicted_token_seconds(const PlanVersion& version, double context) {
  return PlanTimes(version).round({.rows = 1, .wanted_rows = 1, .context = context});
}

double predicted_first_token_seconds(const PlanVersion& version, std::uint32_t prompt_rows,
                                     std::uint32_t chunk_rows) {
  const PlanTimes times(version);
  ChunkSchedule schedule(times, version.devices.size());
  std::deque<double> under_way;  // when each is answered
  double answered = 0;
  for (std::uint32_t at = 0; at < prompt_rows; at += chunk_rows) {
    const std::uint32_t rows = std::min(chunk_rows, prompt_rows - at);
    const bool is_last = at + rows == prompt_rows;
    double start = 0;
    if (under_way.size() > times.num_stages()) {
      start = under_way.front();
      under_way.pop_front();
    }
    answered = schedule.pass(start, {.rows = static_cast<double>(rows),
                                     .wanted_rows = is_last ? 1.0 : 0.0,
                                     .context = at + (rows - 1) / 2.0});
    under_way.push_back(answered);
  }
  return answered;
}

double predicted_tokens_per_second(const PlanVersion& version, double streams, double rows, double context) {
  const PlanTimes times(version);
  const Visit visit{.rows = rows, .wanted_rows = rows, .context = context};
  const double under_way = std::max(1.0, streams / rows);
  std::vector<double> device_busy(version.devices.size(), 0);
  double busiest = 0;
  for (std::size_t stage = 0; stage < times.num_stages(); ++stage) {
    double& busy = device_busy[times.device(stage)];
    busy += times.visit(stage, visit);
    busiest = std::max(busiest, busy);
  }
  for (std::size_t hop = 0; hop <= times.num_stages(); ++hop)
    busiest = std::max(busiest, times.transfer(hop, visit));
  const double period = std::max(under_way * busiest, times.round(visit));
  return period > 0 ? streams / period : 0;
}

PlanFigures plan_figures(const ClusterState& state) {
  const PlanVersion& version = *state.active;
  const PlanTimes times(version);
  const std::vector<double> probed = probed_hops(state, version, 1);
  PlanFigures figures;
  for (std::size_t i = 0; i < times.num_stages(); ++i) {
    const auto measure = [&](std::uint32_t row_class) { return state.record.stage(i, row_class); };
    const auto predict = [&](const Visit& visit) { return times.compute(i, visit); };
    figures.stages.push_back(
        {.sizes = sized_figures(measure, predict), .hand_over_seconds = state.record.hand_over(i)});
  }
  for (std::size_t i = 0; i <= times.num_stages(); ++i) {
    const bool is_return = i == times.num_stages();
    const auto measure = [&](std::uint32_t row_class) { return state.record.hop(i, row_class, probed); };
    const auto predict = [&](const Visit& visit) { return times.hop(i, visit); };
    figures.hops.push_back({.from = i == 0 ? kHub : version.device_of(i - 1),
                            .to = is_return ? kHub : version.device_of(i),
                            .sizes = sized_figures(measure, predict)});
  }
  figures.service = service_figures(state);
  return figures;
}

}  // namespace shoal
