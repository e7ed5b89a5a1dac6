#include "coordinator/plan_builder.h"

#include <doctest/doctest.h>

#include "coordinator/broken_links.h"
#include "model/model_config_codec.h"
#include "model/stage_backend.h"
#include "partition/cost.h"
#include "partition/planner.h"
#include "tests/coordinator/hub_fixture.h"
#include "transport/bounds.h"
#include "transport/wire.h"

namespace shoal {
namespace {

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

const TinyModel& gemma() {
  static const TinyModel model{7, TinyModelOptions::for_architecture(Architecture::Gemma3)};
  return model;
}

std::unique_ptr<ScriptedHub> hub_with(const TinyModel& model, std::size_t num_devices,
                                      ClusterSettings settings = {}, std::uint64_t memory_bytes = 1 << 30) {
  auto hub = std::make_unique<ScriptedHub>(model, settings);
  for (std::size_t i = 0; i < num_devices; ++i) hub->join("cam-" + std::to_string(i), memory_bytes);
  hub->run_for(std::chrono::seconds(2));
  return hub;
}

// As it would travel: encoded, decoded, equal.
void check_travels(const Message& message) {
  const char* wrong = out_of_bounds(message);
  CHECK_MESSAGE(wrong == nullptr, wrong);
}

}  // namespace

TEST_CASE("one unit of each shape stands for all: embedding, each kind of layer, head") {
  CHECK(representative_units(served(tiny())) == std::vector<std::uint32_t>{0, 1, 7});
  const ServedModel windows = served(gemma());  // local and global layers attend differently
  const std::vector<std::uint32_t> units = representative_units(windows);
  CHECK(units.front() == 0);
  CHECK(units.back() == windows.config.head_unit());
  CHECK(units.size() >= 3);
  for (std::uint32_t layer = 0; layer < windows.config.num_layers; ++layer) {
    const bool stood_for = std::ranges::any_of(units, [&](std::uint32_t unit) {
      return unit > 0 && unit <= windows.config.num_layers &&
             windows.config.layers[unit - 1].window == windows.config.layers[layer].window;
    });
    CHECK(stood_for);
  }
}

TEST_CASE("a profile request carries the representative units' tensors and passes the wire's bounds") {
  const ServedModel model = served(tiny());
  const ProfileRequest request = profile_request(model);
  CHECK(request.model == model.hash);
  for (const TensorRef& tensor : request.tensors)
    CHECK((tensor.unit == 0 || tensor.unit == 1 || tensor.unit == 7));
  CHECK(request.tensors.size() > 8);
  check_travels(request);
}

TEST_CASE("a kv budget holds one whole context of every kind, and never more than the sequences can use") {
  ScriptedHub hub(gemma());
  const std::vector<KvKind> kinds = kv_kinds(hub.state->model.config);
  for (const std::uint32_t positions : {1u, 128u, 1000u, 100000u}) {
    const KvBudget budget = kv_budget_for(*hub.state, positions);
    REQUIRE(budget.blocks.size() == kinds.size());
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      const std::uint32_t one =
          most_kv_blocks_until(kinds[kind], 128, hub.state->settings.scheduler.prefill_chunk);
      CHECK(budget.blocks[kind] >= one);
      CHECK(budget.blocks[kind] <= one * hub.state->settings.max_sequences);
    }
  }
}

TEST_CASE("a plan over measured devices covers every unit once and stays within their memory") {
  for (const std::size_t count : {1, 2, 4}) {
    ClusterSettings settings;
    settings.min_stages = static_cast<std::uint32_t>(count);
    const auto hub = hub_with(tiny(), count, settings);
    const std::vector<DeviceId> devices = plannable_devices(*hub->state, hub->now);
    REQUIRE(devices.size() == count);
    const Result<PlanVersion> version = choose_plan(*hub->state, devices, settings.min_stages);
    REQUIRE(version.has_value());
    std::uint32_t next = 0;
    for (const PlannedStage& stage : version->plan.stages) {
      CHECK(stage.units.begin == next);
      next = stage.units.end;
    }
    CHECK(next == hub->state->model.config.num_units());
    for (std::size_t i = 0; i < devices.size(); ++i) {
      CHECK(version->plan.prediction.memory_bytes[i] <=
            hub->state->members.at(devices[i]).hello.memory_bytes);
    }
  }
}

TEST_CASE("a plan states the scratch that each device's stages will open, by its own threads") {
  const auto hub = hub_with(gemma(), 2);
  const ClusterState& state = *hub->state;
  const std::vector<std::uint32_t> threads{3, 1};
  for (std::uint32_t v = 0; v < 2; ++v)
    hub->state->members.at(DeviceId{v + 1}).hello.num_threads = threads[v];
  Result<PlanVersion> version = choose_plan(state, {DeviceId{1}, DeviceId{2}}, 1);
  REQUIRE(version);
  const std::uint32_t end = state.model.config.num_units();
  const std::vector<std::vector<PlannedStage>> plans = {
      {{0, {0, end}}},
      {{1, {0, 1}}, {0, {1, end - 1}}, {1, {end - 1, end}}},  // a device with two stages has two workspaces
      {{1, {0, 2}}, {0, {2, 3}}, {1, {3, end}}}};
  for (const std::vector<PlannedStage>& stages : plans) {
    version->plan.stages = stages;
    const Result<Prediction> stated = predict(version->problem, stages);
    REQUIRE(stated);
    const PlanMessage message = plan_message_for(state, *version, DeviceId{1});
    for (std::uint32_t v = 0; v < 2; ++v) {
      std::vector<Range> held;
      std::uint64_t scratch = 0;
      for (std::size_t i = 0; i < stages.size(); ++i) {
        if (stages[i].device != v) continue;
        held.push_back(stages[i].units);
        const StageSpec spec{.units = message.stages[i].units,
                             .head_blocks = message.stages[i].head_blocks,
                             .max_context = message.max_context,
                             .max_rows = message.max_rows,
                             .max_sequences = message.max_sequences,
                             .kv = {message.kv_blocks, *kv_type_from(message.kv_type)}};
        scratch += cpu_stage_scratch_bytes(spec, state.model.config, threads[v]);
      }
      const MemoryNeed need = memory_need(version->problem, v, held);
      CHECK(need.scratch == scratch);
      const std::uint64_t fixed = held.empty() ? 0 : version->problem.fixed_bytes;
      CHECK(stated->memory_bytes[v] == fixed + need.weights + need.kv + scratch);
    }
  }
}

TEST_CASE("a plan's KV type is told to every worker and counted in every device's memory") {
  // Two heads of 16 dimensions take 64 bytes each way in f16, 36 in q8.
  std::map<KvType, std::uint64_t> need;
  for (const KvType type : {KvType::F16, KvType::Q8}) {
    ClusterSettings settings;
    settings.kv_type = type;
    const auto hub = hub_with(tiny(), 2, settings);
    const Result<PlanVersion> version = choose_plan(*hub->state, plannable_devices(*hub->state, hub->now), 2);
    REQUIRE(version);
    CHECK(version->kv.type == type);
    for (const std::uint32_t device : {1u, 2u}) {
      const PlanMessage message = plan_message_for(*hub->state, *version, DeviceId{device});
      CHECK(kv_type_from(message.kv_type) == type);
      check_travels(message);
    }
    const std::uint32_t end = hub->state->model.config.num_units();
    need[type] = memory_need(version->problem, 0, std::vector<Range>{{0, end}}).kv;
    CHECK(need[type] == version->kv.blocks[0] * 32ull * (type == KvType::F16 ? 2 * 64 : 2 * 36) * (end - 2));
  }
  CHECK(need[KvType::Q8] * 64 == need[KvType::F16] * 36);
}

TEST_CASE("in memory that is short, q8 holds more positions than f16") {
  std::map<KvType, std::uint32_t> positions;
  for (const KvType type : {KvType::F16, KvType::Q8}) {
    ClusterSettings settings;
    settings.kv_type = type;
    settings.kv_positions = 1 << 20;
    settings.max_sequences = 1 << 14;
    const auto hub = hub_with(tiny(), 1, settings, std::uint64_t{60} << 20);
    const Result<PlanVersion> version = choose_plan(*hub->state, plannable_devices(*hub->state, hub->now), 1);
    REQUIRE(version);
    positions[type] = version->kv_positions;
  }
  CHECK(positions[KvType::Q8] > positions[KvType::F16]);
}

TEST_CASE(
    "where memory is short the KV budget is halved down to one context, then the plan fails with what is "
    "short") {
  ClusterSettings settings;
  settings.kv_positions = 1 << 20;
  settings.max_sequences = 1 << 14;
  std::uint32_t before = 0;
  bool failed = false;
  for (const std::uint64_t megabytes : {20, 24, 40, 160, 640}) {
    const auto hub = hub_with(tiny(), 1, settings, megabytes << 20);
    const Result<PlanVersion> version = choose_plan(*hub->state, plannable_devices(*hub->state, hub->now), 1);
    if (!version) {
      CHECK(version.error().code() == ErrorCode::OutOfMemory);
      CHECK_FALSE(version.error().message().empty());
      failed = true;
      continue;
    }
    CHECK(version->kv_positions >= before);
    CHECK(version->kv_positions >= 128);
    CHECK(version->plan.prediction.memory_bytes[0] <= megabytes << 20);
    before = version->kv_positions;
  }
  CHECK(before > 128);
  CHECK(failed);
}

TEST_CASE(
    "plan messages name what each worker needs, pass the wire's bounds, and tell who is left out to free "
    "everything") {
  ClusterSettings settings;
  settings.min_stages = 2;
  const auto hub = hub_with(tiny(), 2, settings);
  const ClusterState& state = *hub->state;
  REQUIRE(state.pending.has_value() != state.active.has_value());
  const PlanVersion& version = state.active ? *state.active : *state.pending;
  std::set<std::uint32_t> units;
  for (const DeviceId device : {DeviceId{1}, DeviceId{2}}) {
    const PlanMessage message = plan_message_for(state, version, device);
    check_travels(message);
    CHECK(message.stages.size() == version.plan.stages.size());
    REQUIRE(message.peers.size() == 1);
    CHECK(message.peers.front().device != device);
    CHECK(message.kv_blocks == version.kv.blocks);
    CHECK(parse_model_config(message.config).has_value());
    for (const TensorRef& tensor : message.tensors) units.insert(tensor.unit);
    for (const TensorRef& tensor : message.tensors) {
      CHECK(std::ranges::any_of(message.stages, [&](const StageAssignment& s) {
        return s.device == device && s.units.contains(tensor.unit);
      }));
    }
    CHECK_FALSE(message.stages.back().head_blocks.empty());
  }
  CHECK(units.size() == state.model.config.num_units());

  const PlanMessage left_out = plan_message_for(state, version, DeviceId{9});
  CHECK(left_out.stages.empty());
  CHECK(left_out.peers.empty());
  CHECK(left_out.tensors.empty());
  check_travels(left_out);
}

TEST_CASE("a repair keeps what the survivors hold and covers what is lost") {
  ClusterSettings settings;
  settings.min_stages = 3;
  const auto hub = hub_with(tiny(), 3, settings);
  REQUIRE(hub->serve());
  const PlanVersion broken = *hub->state->active;
  const DeviceId lost = broken.device_of(1);
  std::vector<DeviceId> survivors = plannable_devices(*hub->state, hub->now);
  std::erase(survivors, lost);
  const Result<PlanVersion> repair = choose_repair(*hub->state, broken, survivors);
  REQUIRE(repair.has_value());
  CHECK(repair->is_repair);
  CHECK_FALSE(repair->uses(lost));
  CHECK(repair->plan.prediction.seconds_per_token > 0);
  CHECK(repair->plan.prediction.memory_bytes.size() == survivors.size());
  for (std::size_t s = 0; s < broken.plan.stages.size(); ++s) {
    if (broken.device_of(s) == lost) continue;
    for (std::uint32_t unit = broken.plan.stages[s].units.begin; unit < broken.plan.stages[s].units.end;
         ++unit) {
      for (std::size_t r = 0; r < repair->plan.stages.size(); ++r) {
        if (repair->plan.stages[r].units.contains(unit)) CHECK(repair->device_of(r) == broken.device_of(s));
      }
    }
  }
}

TEST_CASE("a plan goes around a broken link, and says so where it cannot") {
  ClusterSettings settings;
  settings.min_stages = 3;
  const auto hub = hub_with(tiny(), 3, settings);
  REQUIRE(hub->serve());
  const PlanVersion before = *hub->state->active;
  CHECK(broken_link_in(*hub->state, before) == "");
  const std::vector<DeviceId> devices = plannable_devices(*hub->state, hub->now);
  mark_broken(*hub->state, before.device_of(1), before.device_of(0));
  CHECK(broken_link_in(*hub->state, before).find("is broken") != std::string::npos);
  const Result<PlanVersion> around = choose_plan(*hub->state, devices, 3);
  REQUIRE(around.has_value());
  CHECK(broken_link_in(*hub->state, *around) == "");
  for (const DeviceId device : devices) mark_broken(*hub->state, kHub, device);
  const Result<PlanVersion> nowhere = choose_plan(*hub->state, devices, 1);
  REQUIRE(nowhere.has_value());
  CHECK(broken_link_in(*hub->state, *nowhere) != "");
  forget_broken_links_of(*hub->state, devices.front());
  CHECK_FALSE(is_broken(*hub->state, kHub, devices.front()));
  CHECK(is_broken(*hub->state, devices.back(), kHub));
}

TEST_CASE("a plan in service is judged anew by today's measurements") {
  const auto hub = hub_with(tiny(), 2);
  REQUIRE(hub->serve());
  const PlanVersion& active = *hub->state->active;
  const Result<Prediction> same = predict_today(*hub->state, active);
  REQUIRE(same.has_value());
  CHECK(same->seconds_per_token == doctest::Approx(active.plan.prediction.seconds_per_token));
  for (auto& [id, member] : hub->state->members) {
    member.from_hub->latency_seconds *= 100;
  }
  const Result<Prediction> slower = predict_today(*hub->state, active);
  REQUIRE(slower.has_value());
  CHECK(slower->seconds_per_token > same->seconds_per_token);
}

}  // namespace shoal
