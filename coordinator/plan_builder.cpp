#include "coordinator/plan_builder.h"

#include <algorithm>
#include <tuple>

#include "coordinator/broken_links.h"
#include "model/stage_backend.h"

namespace shoal {
namespace {

// What a worker process takes before it holds anything: code, ZeroMQ, queues. Measured on the stripped
// worker, rounded up.
constexpr std::uint64_t kProcessBytes = 14 << 20;
constexpr std::uint32_t kCandidateBytes = 2048;  // a decode step's answer, typically
constexpr std::uint32_t kStepHeaderBytes = 192;
constexpr double kJudgedContext = 512;  // positions at which stage times are compared

// A link nobody could measure is planned as if it were poor, so that it is used only where nothing else
// serves.
constexpr LinkProfile kUnmeasuredLink{.latency = 0.02, .bytes_per_second = 1e6};
// So poor that any plan without it is better; one that has it is refused.
constexpr LinkProfile kBrokenLink{.latency = 1e4, .bytes_per_second = 0.1};

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

std::uint32_t representative_of(const std::vector<UnitKind>& kinds, std::uint32_t unit) {
  if (unit == 0 || unit + 1 == kinds.size()) return unit;
  const auto first = std::find(kinds.begin() + 1, kinds.end() - 1, kinds[unit]);
  return static_cast<std::uint32_t>(first - kinds.begin());
}

std::uint32_t head_blocks(const ModelConfig& config) {
  return (config.vocab_size + kHeadBlockRows - 1) / kHeadBlockRows;
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
        unit == config.head_unit() ? kCandidateBytes : config.activation_bytes() + kStepHeaderBytes;
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

DeviceProfile device_profile(const ClusterState& state, const Member& member, const KvBudget& kv,
                             const std::vector<UnitKind>& kinds) {
  DeviceProfile profile{.name = member.name, .memory_bytes = member.hello.memory_bytes};
  profile.scratch = stage_scratch_of(state, kv, member.hello.num_threads);
  profile.units.resize(state.model.config.num_units());
  for (std::uint32_t unit = 0; unit < profile.units.size(); ++unit) {
    const std::uint32_t representative = representative_of(kinds, unit);
    for (const LayerProfile& measured : member.profile->units) {
      if (measured.unit != representative) continue;
      profile.units[unit] = {measured.seconds_batch1, measured.seconds_batch32,
                             measured.seconds_per_1k_context};
    }
  }
  return profile;
}

LinkProfile link_profile(const std::optional<LinkMeasurement>& measured) {
  return measured ? LinkProfile{measured->latency_seconds, measured->bytes_per_second} : kUnmeasuredLink;
}

LinkProfile link_from_hub(const ClusterState& state, const Member& to) {
  return is_broken(state, kHub, to.id) ? kBrokenLink : link_profile(to.from_hub);
}

LinkProfile link_between(const ClusterState& state, const Member& from, DeviceId to) {
  if (to == from.id) return {0, 1e12};
  if (is_broken(state, from.id, to)) return kBrokenLink;
  const auto found = from.links.find(to);
  return link_profile(found == from.links.end() ? std::nullopt : std::optional(found->second));
}

PlanProblem make_problem(const ClusterState& state, const std::vector<DeviceId>& devices,
                         const KvBudget& kv) {
  PlanProblem problem;
  problem.units = unit_shapes(state, kv);
  const std::vector<UnitKind> kinds = unit_kinds(state.model);
  for (const DeviceId id : devices) {
    const Member& member = state.members.at(id);
    problem.devices.push_back(device_profile(state, member, kv, kinds));
    problem.from_hub.push_back(link_from_hub(state, member));
    problem.to_hub.push_back(link_between(state, member, kHub));
    std::vector<LinkProfile>& row = problem.links.emplace_back();
    for (const DeviceId to : devices) row.push_back(link_between(state, member, to));
  }
  problem.input_bytes = kStepHeaderBytes;
  problem.result_bytes = kCandidateBytes;
  problem.fixed_bytes = kProcessBytes + state.settings.log_bytes;
  problem.context = kJudgedContext;
  problem.objective = state.settings.objective;
  problem.num_streams = state.settings.objective == Objective::Throughput ? state.settings.max_sequences : 1;
  return problem;
}

// Tries the full KV budget first; memory that cannot hold it gets half, down to one full context.
template <typename Solve>
Result<PlanVersion> with_most_kv(const ClusterState& state, const std::vector<DeviceId>& devices,
                                 Solve&& solve) {
  std::uint32_t positions = std::max(state.settings.kv_positions, state.settings.max_context);
  while (true) {
    PlanVersion version;
    version.kv_positions = positions;
    version.kv = kv_budget_for(state, positions);
    version.devices = devices;
    version.problem = make_problem(state, devices, version.kv);
    Result<Plan> plan = solve(version.problem);
    if (plan) {
      version.plan = *std::move(plan);
      return version;
    }
    if (plan.error().code() != ErrorCode::OutOfMemory || positions == state.settings.max_context)
      return fail(plan.error());
    positions = std::max(positions / 2, state.settings.max_context);
  }
}

}  // namespace

std::vector<std::uint32_t> representative_units(const ServedModel& model) {
  const std::vector<UnitKind> kinds = unit_kinds(model);
  std::vector<std::uint32_t> units;
  for (std::uint32_t unit = 0; unit < kinds.size(); ++unit) {
    if (representative_of(kinds, unit) == unit) units.push_back(unit);
  }
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

std::vector<DeviceId> plannable_devices(const ClusterState& state, Time now) {
  std::vector<DeviceId> devices;
  for (const auto& [id, member] : state.members) {
    const bool measured = member.profile.has_value() && member.links_measured;
    if (member.online && measured && member.excluded.empty() && now >= member.retry_at) devices.push_back(id);
  }
  return devices;
}

KvBudget kv_budget_for(const ClusterState& state, std::uint32_t positions) {
  const std::uint32_t chunk = std::min(state.settings.scheduler.prefill_chunk, kMaxRowsPerStep);
  KvBudget budget{.blocks = {}, .type = state.settings.kv_type};
  for (const KvKind& kind : kv_kinds(state.model.config)) {
    const std::uint32_t one_context = most_kv_blocks_until(kind, state.settings.max_context, chunk);
    const auto shared = static_cast<std::uint32_t>(positions / kKvBlockPositions);
    const std::uint32_t most =
        one_context * state.settings.max_sequences;  // a window bounds what sequences can use
    budget.blocks.push_back(std::max(one_context, std::min(shared, most)));
  }
  return budget;
}

Result<PlanVersion> choose_plan(const ClusterState& state, const std::vector<DeviceId>& devices,
                                std::uint32_t min_stages) {
  return with_most_kv(state, devices, [&](PlanProblem& problem) {
    problem.min_stages = min_stages;
    return make_plan(problem);
  });
}

// Lost devices have no figures any more: the broken plan is restated over the survivors, with what they lack
// marked as lost.
Result<PlanVersion> choose_repair(const ClusterState& state, const PlanVersion& broken,
                                  const std::vector<DeviceId>& survivors) {
  Result<PlanVersion> version = with_most_kv(state, survivors, [&](PlanProblem& problem) -> Result<Plan> {
    problem.min_stages = 1;
    PlanProblem with_lost = problem;
    Plan current = broken.plan;
    std::vector<std::uint32_t> lost;
    for (PlannedStage& stage : current.stages) {
      const auto survivor = std::ranges::find(survivors, broken.devices[stage.device]);
      if (survivor != survivors.end()) {
        stage.device = static_cast<std::uint32_t>(survivor - survivors.begin());
        continue;
      }
      stage.device = static_cast<std::uint32_t>(with_lost.devices.size());
      lost.push_back(stage.device);
      with_lost.devices.push_back(
          {.name = "lost", .memory_bytes = 0, .units = problem.devices.front().units, .may_compute = false});
      with_lost.from_hub.push_back(kUnmeasuredLink);
      with_lost.to_hub.push_back(kUnmeasuredLink);
      for (std::vector<LinkProfile>& row : with_lost.links) row.push_back(kUnmeasuredLink);
      with_lost.links.emplace_back(with_lost.devices.size(), kUnmeasuredLink);
    }
    Result<Plan> repaired = repair_plan(with_lost, current, lost);
    if (!repaired) return repaired;
    Result<Prediction> prediction = predict(problem, repaired->stages);
    if (prediction) repaired->prediction = *std::move(prediction);
    return repaired;
  });
  if (version) version->is_repair = true;
  return version;
}

Result<Prediction> predict_today(const ClusterState& state, const PlanVersion& version) {
  std::vector<DeviceId> used;
  std::vector<PlannedStage> stages = version.plan.stages;
  for (PlannedStage& stage : stages) {
    const DeviceId device = version.devices[stage.device];
    const auto known = std::ranges::find(used, device);
    stage.device = static_cast<std::uint32_t>(known - used.begin());
    if (known == used.end()) used.push_back(device);
  }
  return predict(make_problem(state, used, version.kv), stages);
}

PlanMessage plan_message_for(const ClusterState& state, const PlanVersion& version, DeviceId receiver) {
  PlanMessage message;
  message.epoch = version.epoch;
  message.pipeline = PipelineId{1};
  message.model = state.model.hash;
  message.config = state.model.config_bytes;
  message.max_context = state.settings.max_context;
  message.max_rows = kMaxRowsPerStep;
  message.max_sequences = state.settings.max_sequences;
  message.kv_blocks = version.kv.blocks;
  message.log_bytes = state.settings.log_bytes;
  message.kv_type = static_cast<std::uint8_t>(version.kv.type);
  std::set<std::uint32_t> units;
  for (const PlannedStage& stage : version.plan.stages) {
    const DeviceId device = version.devices[stage.device];
    const bool has_head = stage.units.end == state.model.config.num_units();
    message.stages.push_back(
        {device, stage.units, has_head ? Range{0, head_blocks(state.model.config)} : Range{}});
    if (device == receiver) {
      for (std::uint32_t unit = stage.units.begin; unit < stage.units.end; ++unit) units.insert(unit);
    }
  }
  if (units.empty()) {
    message.stages.clear();  // left out of this plan: it frees everything
    return message;
  }
  for (const DeviceId device : version.devices) {
    const Member& peer = state.members.at(device);
    if (device != receiver && version.uses(device))
      message.peers.push_back({device, peer.hello.inbox, peer.public_key});
  }
  for (const TensorRef& tensor : state.model.tensors) {
    if (units.contains(tensor.unit)) message.tensors.push_back(tensor);
  }
  return message;
}

PipelineShape pipeline_shape(const ClusterState& state, const PlanVersion& version) {
  return {.epoch = version.epoch,
          .pipeline = PipelineId{1},
          .num_stages = static_cast<std::uint32_t>(version.plan.stages.size()),
          .max_rows = kMaxRowsPerStep,
          .max_sequences = state.settings.max_sequences,
          .kv = version.kv,
          .predicted_step_seconds = version.plan.prediction.seconds_per_token};
}

}  // namespace shoal
