#include "coordinator/plan_problem.h"

#include <algorithm>
#include <tuple>

#include "coordinator/broken_links.h"
#include "model/stage_backend.h"
#include "transport/limits.h"

namespace shoal {
namespace {

// What a worker process takes before it holds anything: code, ZeroMQ, queues. Measured on the stripped
// worker, rounded up.
constexpr std::uint64_t kProcessBytes = 14 << 20;
constexpr std::uint32_t kCandidateBytes = 2048;  // a decode step's answer, typically
constexpr std::uint32_t kStepHeaderBytes = 192;  // of a frame of one row: counted as a part of the latency
constexpr std::uint32_t kRowHeaderBytes = 8;     // what another row adds to it
constexpr double kJudgedContext = 512;           // positions at which stage times are compared

// A link nobody could measure is planned as if it were poor, so that it is used only where nothing else
// serves.
constexpr LinkProfile kUnmeasuredLink{.latency = 0.02, .bytes_per_second = 1e6};
// So poor that any plan without it is better; one that has it is refused.
constexpr LinkProfile kBrokenLink{.latency = 1e4, .bytes_per_second = 0.1};
constexpr LinkProfile kNoLink{.latency = 0, .bytes_per_second = 1e12};

constexpr double kMostSharedFactor = 1.25;       // of what one device's steps say about another's profile
constexpr double kMostSharedLinkSeconds = 5e-4;  // the same of links

// What makes two units the same to a kernel: roles, types and shapes of their tensors, and the window.
using Signature = std::vector<std::tuple<TensorRole, WeightType, std::uint64_t, std::uint64_t>>;
struct UnitKind {
  Signature tensors;
  std::uint32_t window = 0;
  bool operator==(const UnitKind&) const = default;
};

std::vector<UnitKind> unit_kinds(const ServedModel& model) {
  std::vector<UnitKind> kinds(model.config.num_units());
  for (const TensorSpec& spec : model.specs)
    kinds[spec.unit].tensors.emplace_back(spec.role, spec.type, spec.rows, spec.cols);
  for (std::uint32_t layer = 0; layer < model.config.num_layers; ++layer)
    kinds[layer + 1].window = model.config.layers[layer].window;
  return kinds;
}

StageSpec stage_spec(const ClusterState& state, const KvBudget& kv, Range units) {
  const ModelConfig& config = state.model.config;
  return {.units = units,
          .head_blocks = units.end == config.num_units() ? Range{0, head_blocks(config)} : Range{},
          .max_context = state.settings.max_context,
          .max_rows = kMaxRowsPerStep,
          .max_sequences = state.settings.max_sequences,
          .kv = kv};
}

std::vector<UnitShape> unit_shapes(const ClusterState& state, const KvBudget& kv) {
  const ModelConfig& config = state.model.config;
  std::vector<UnitShape> shapes(config.num_units());
  for (std::uint32_t unit = 0; unit < config.num_units(); ++unit) {
    const Range alone{unit, unit + 1};
    UnitShape& shape = shapes[unit];
    shape.weight_bytes = shard_bytes(state.model.specs, alone);
    shape.kv_bytes = kv_bytes(config, kv, alone);
    shape.output_bytes =
        unit == config.head_unit() ? kCandidateBytes : config.activation_bytes() + kRowHeaderBytes;
  }
  if (config.tied_head) {
    shapes.front().tied_group = shapes.back().tied_group = 1;
    shapes.front().tied_bytes = shapes.back().tied_bytes = shapes.front().weight_bytes;
  }
  return shapes;
}

// Of a stage on a device with this many threads.
StageScratch stage_scratch_of(const ClusterState& state, const KvBudget& kv, std::size_t num_threads) {
  const ModelConfig& config = state.model.config;
  const auto of = [&](Range units) {
    return cpu_stage_scratch_bytes(stage_spec(state, kv, units), config, num_threads);
  };
  const std::uint32_t head = config.head_unit();
  return {.embedding = of({0, 1}),
          .layers = of({1, head}),
          .head = of({head, head + 1}),
          .layers_and_head = of({1, head + 1})};
}

// The planner knows one line per unit and no window: what context adds is stated for the context that it
// judges by.
UnitCost cost_of(const UnitSpeed& speed) {
  return {.decode = speed.batch1,
          .batch32 = speed.batch32,
          .per_1k_context =
              speed.per_1k_context * attended_positions(speed.window, kJudgedContext) / kJudgedContext};
}

DeviceProfile device_profile(const ClusterState& state, const Member& member, const KvBudget& kv,
                             const DeviceSpeed& speed) {
  DeviceProfile profile{.name = member.name, .memory_bytes = member.hello.memory_bytes};
  profile.scratch = stage_scratch_of(state, kv, member.hello.num_threads);
  profile.step_overhead = speed.hand_over;
  for (const UnitSpeed& unit : speed.units) profile.units.push_back(cost_of(unit));
  return profile;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::ranges::nth_element(values, middle);
  return *middle;
}

double factor_of(const ClusterState& state, const Member& member, std::uint32_t row_class) {
  if (const std::optional<double> own = member.correction.factor(row_class)) return *own;
  std::vector<double> others;
  for (const auto& [id, other] : state.members) {
    const std::optional<double> factor = other.online ? other.correction.factor(row_class) : std::nullopt;
    if (factor) others.push_back(*factor);
  }
  if (others.empty()) return 1;
  return std::clamp(median(std::move(others)), 1 / kMostSharedFactor, kMostSharedFactor);
}

// What hops over this link take longer than its probe says.
double extra_seconds(const ClusterState& state, DeviceId from, DeviceId to) {
  const auto own = state.link_extras.find({from, to});
  if (own != state.link_extras.end() && own->second.is_settled()) return own->second.value();
  std::vector<double> others;
  for (const auto& [link, extra] : state.link_extras) {
    if (extra.is_settled()) others.push_back(extra.value());
  }
  if (others.empty()) return 0;
  return std::clamp(median(std::move(others)), -kMostSharedLinkSeconds, kMostSharedLinkSeconds);
}

}  // namespace

std::vector<std::uint32_t> representatives_of(const ServedModel& model) {
  const std::vector<UnitKind> kinds = unit_kinds(model);
  std::vector<std::uint32_t> units(kinds.size());
  for (std::uint32_t unit = 0; unit < kinds.size(); ++unit) {
    const bool is_layer = unit > 0 && unit + 1 < kinds.size();
    const auto first = is_layer ? std::find(kinds.begin() + 1, kinds.end() - 1, kinds[unit])
                                : kinds.begin() + static_cast<std::ptrdiff_t>(unit);
    units[unit] = static_cast<std::uint32_t>(first - kinds.begin());
  }
  return units;
}

std::vector<std::uint32_t> representative_units(const ServedModel& model) {
  std::vector<std::uint32_t> units = representatives_of(model);
  std::ranges::sort(units);
  units.erase(std::unique(units.begin(), units.end()), units.end());
  return units;
}

ProfileRequest profile_request(const ServedModel& model) {
  ProfileRequest request{.model = model.hash, .config = model.config_bytes, .tensors = {}};
  const std::vector<std::uint32_t> units = representative_units(model);
  for (const TensorRef& tensor : model.tensors) {
    if (std::ranges::find(units, tensor.unit) != units.end()) request.tensors.push_back(tensor);
  }
  return request;
}

DeviceSpeed profiled_speed(const ClusterState& state, const Member& member) {
  return speed_from(*member.profile, state.representatives, state.model.config, {});
}

DeviceSpeed corrected_speed(const ClusterState& state, const Member& member) {
  const SpeedFactors factors{.one_row = factor_of(state, member, row_class_of(1)),
                             .batch = factor_of(state, member, row_class_of(32)),
                             .chunk = factor_of(state, member, row_class_of(kProfileChunkRows))};
  DeviceSpeed speed = speed_from(*member.profile, state.representatives, state.model.config, factors);
  if (member.hand_over.is_settled()) speed.hand_over = member.hand_over.value();
  return speed;
}

LinkProfile unmeasured_link() { return kUnmeasuredLink; }

LinkProfile probed_link(const ClusterState& state, DeviceId from, DeviceId to) {
  if (from == to) return kNoLink;
  if (is_broken(state, from, to)) return kBrokenLink;
  std::optional<LinkMeasurement> measured;
  if (from == kHub) {
    measured = state.members.at(to).from_hub;
  } else {
    const auto& links = state.members.at(from).links;
    if (const auto found = links.find(to); found != links.end()) measured = found->second;
  }
  if (!measured) return kUnmeasuredLink;
  return {.latency = measured->latency_seconds + kStepHeaderBytes / measured->bytes_per_second,
          .bytes_per_second = measured->bytes_per_second};
}

LinkProfile corrected_link(const ClusterState& state, DeviceId from, DeviceId to) {
  LinkProfile link = probed_link(state, from, to);
  if (from != to) link.latency = std::max(0.0, link.latency + extra_seconds(state, from, to));
  return link;
}

std::uint32_t decode_frame_bytes(const ModelConfig& config) {
  return static_cast<std::uint32_t>(config.activation_bytes()) + kStepHeaderBytes;
}

std::uint32_t prefill_frame_bytes(const ModelConfig& config, std::uint32_t rows) {
  const std::uint64_t bytes = rows * config.activation_bytes() + kStepHeaderBytes;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(bytes, kMaxPingBytes));
}

StatedProblem state_problem(const ClusterState& state, const std::vector<DeviceId>& devices,
                            const KvBudget& kv) {
  StatedProblem stated;
  PlanProblem& problem = stated.problem;
  problem.units = unit_shapes(state, kv);
  for (const DeviceId id : devices) {
    const Member& member = state.members.at(id);
    stated.speeds.push_back(corrected_speed(state, member));
    problem.devices.push_back(device_profile(state, member, kv, stated.speeds.back()));
    problem.from_hub.push_back(corrected_link(state, kHub, id));
    problem.to_hub.push_back(corrected_link(state, id, kHub));
    std::vector<LinkProfile>& row = problem.links.emplace_back();
    for (const DeviceId to : devices) row.push_back(corrected_link(state, id, to));
  }
  problem.input_bytes = kRowHeaderBytes;
  problem.result_bytes = kCandidateBytes;
  problem.fixed_bytes = kProcessBytes + state.settings.log_bytes;
  problem.context = kJudgedContext;
  problem.objective = state.settings.objective;
  problem.num_streams = state.settings.objective == Objective::Throughput ? state.settings.max_sequences : 1;
  return stated;
}

std::uint32_t head_blocks(const ModelConfig& config) {
  return (config.vocab_size + kHeadBlockRows - 1) / kHeadBlockRows;
}

}  // namespace shoal
