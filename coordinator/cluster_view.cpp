#include "coordinator/cluster_view.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

namespace shoal {
namespace {

using Json = nlohmann::ordered_json;

const char* state_of(const ClusterState& state, const Member& member) {
  if (member.revoked) return "revoked";
  if (!member.online) return "lost";
  if (!member.excluded.empty()) return "excluded";
  if (!member.profile || !member.links_measured) return "measuring";
  if (state.pending && state.pending->awaited.contains(member.id)) return "loading";
  if (state.active && state.active_is_whole && state.active->uses(member.id)) return "serving";
  return "idle";
}

std::uint64_t planned_bytes(const PlanVersion& version, DeviceId device) {
  for (std::size_t i = 0; i < version.devices.size() && i < version.plan.prediction.memory_bytes.size();
       ++i) {
    if (version.devices[i] == device) return version.plan.prediction.memory_bytes[i];
  }
  return 0;
}

Json memory_of(const ClusterState& state, const Member& member) {
  Json memory = {{"gives_bytes", member.hello.memory_bytes}, {"resident_bytes", member.beat.resident_bytes}};
  if (state.active) memory["planned_bytes"] = planned_bytes(*state.active, member.id);
  if (member.status) {
    memory["scratch_bytes"] = member.status->scratch_bytes;
    memory["kv_bytes"] = member.status->kv_bytes;
  }
  return memory;
}

Json loading_of(const Member& member) {
  const StageStatus& status = *member.status;
  return {{"epoch", to_string(status.epoch)},
          {"bytes_total", status.bytes_total},
          {"bytes_present", status.bytes_present},
          {"bytes_received", status.bytes_received},
          {"state", status.state == StageState::Loading ? "loading"
                    : status.state == StageState::Ready ? "ready"
                                                        : "failed"},
          {"reason", status.reason}};
}

Json device_json(const ClusterState& state, const Member& member) {
  Json device = {{"id", raw(member.id)},
                 {"name", member.name},
                 {"host", member.hello.host},
                 {"pid", member.hello.pid},
                 {"state", state_of(state, member)},
                 {"kernels", member.hello.kernels},
                 {"threads", member.hello.num_threads},
                 {"inbox", member.hello.inbox},
                 {"memory", memory_of(state, member)},
                 {"decode_step_seconds", member.decode_seconds},
                 {"prefill_row_seconds", member.prefill_seconds_per_row},
                 {"steps_taken", member.beat.steps_taken},
                 {"rejected_frames", member.beat.rejected_frames}};
  if (!member.excluded.empty()) device["excluded"] = member.excluded;
  if (member.status) device["loading"] = loading_of(member);
  if (member.profile) device["read_bytes_per_second"] = member.profile->read_bytes_per_second;
  Json stages = Json::array();
  if (state.active) {
    for (const PlannedStage& stage : state.active->plan.stages) {
      if (state.active->devices[stage.device] == member.id)
        stages.push_back({stage.units.begin, stage.units.end});
    }
  }
  device["units"] = std::move(stages);
  return device;
}

// Units in people's words: the embedding, layers by number, the head.
std::string describe_units(const ModelConfig& config, Range units) {
  std::string text;
  const auto add = [&](const std::string& part) { text += (text.empty() ? "" : " + ") + part; };
  if (units.begin == 0) add("embedding");
  const std::uint32_t first = std::max(units.begin, 1u);
  const std::uint32_t end = std::min(units.end, config.head_unit());
  if (first < end) add("layers " + std::to_string(first - 1) + "-" + std::to_string(end - 2));
  if (units.end == config.num_units()) add("head");
  return text;
}

Json plan_json(const ClusterState& state, const PlanVersion& version) {
  Json stages = Json::array();
  for (std::size_t i = 0; i < version.plan.stages.size(); ++i) {
    const PlannedStage& stage = version.plan.stages[i];
    const Member& member = state.members.at(version.devices[stage.device]);
    Json entry = {{"device", raw(member.id)},
                  {"name", member.name},
                  {"units", {stage.units.begin, stage.units.end}},
                  {"holds", describe_units(state.model.config, stage.units)}};
    if (i < version.plan.prediction.stage_seconds.size())
      entry["predicted_seconds"] = version.plan.prediction.stage_seconds[i];
    entry["measured_device_step_seconds"] = member.decode_seconds;
    stages.push_back(std::move(entry));
  }
  return {{"epoch", to_string(version.epoch)},
          {"why", version.why},
          {"is_repair", version.is_repair},
          {"optimal", version.plan.optimal},
          {"lower_bound_seconds", version.plan.lower_bound},
          {"predicted_seconds_per_token", version.plan.prediction.seconds_per_token},
          {"predicted_bottleneck_seconds", version.plan.prediction.bottleneck_seconds},
          {"predicted_hop_seconds", version.plan.prediction.hop_seconds},
          {"measured_seconds_per_token", state.scheduler.counts().one_stream_seconds},
          {"kv_positions", version.kv_positions},
          {"kv_type", name_of(version.kv.type)},
          {"kv_blocks", version.kv.blocks},
          {"stages", std::move(stages)}};
}

Json link_json(DeviceId from, const LinkMeasurement& link) {
  return {{"from", raw(from)},
          {"to", raw(link.to)},
          {"latency_seconds", link.latency_seconds},
          {"bytes_per_second", link.bytes_per_second}};
}

Json links_json(const ClusterState& state) {
  Json links = Json::array();
  for (const auto& [id, member] : state.members) {
    if (!member.online) continue;
    if (member.from_hub) links.push_back(link_json(kHub, *member.from_hub));
    for (const auto& [to, link] : member.links) links.push_back(link_json(id, link));
  }
  return links;
}

Json model_json(const ClusterState& state) {
  const ModelConfig& config = state.model.config;
  return {{"id", state.model.id},
          {"architecture", name_of(config.architecture)},
          {"layers", config.num_layers},
          {"hidden_size", config.hidden_size},
          {"vocab_size", config.vocab_size},
          {"units", config.num_units()},
          {"weight_bytes", shard_bytes(state.model.specs, {0, config.num_units()})},
          {"max_context", state.settings.max_context}};
}

Json requests_json(const ClusterState& state) {
  const Scheduler::Counts counts = state.scheduler.counts();
  return {
      {"running", counts.running},
      {"queued", counts.queued},
      {"parked", counts.parked},
      {"finished", counts.finished},
      {"failed", counts.failed},
      {"tokens", counts.tokens},
      {"steps_in_flight", counts.steps_in_flight},
      {"free_kv_blocks", counts.free_kv_blocks},
      {"decode_step_seconds", counts.step_seconds},
      {"tokens_per_second_one_stream", counts.one_stream_seconds > 0 ? 1 / counts.one_stream_seconds : 0.0}};
}

}  // namespace

std::string cluster_json(const ClusterState& state, Time now) {
  const InferenceService::Health health = cluster_health(state);
  Json json = {{"state", health.state}, {"detail", health.detail}, {"progress", health.progress}};
  json["epoch"] = state.active ? Json(to_string(state.active->epoch)) : Json();
  json["uptime_seconds"] = state.started_at == Time{} ? 0.0 : seconds(now - state.started_at);
  json["model"] = model_json(state);
  json["devices"] = Json::array();
  for (const auto& [id, member] : state.members) json["devices"].push_back(device_json(state, member));
  json["plan"] = state.active ? plan_json(state, *state.active) : Json();
  json["next_plan"] = state.pending ? plan_json(state, *state.pending) : Json();
  json["links"] = links_json(state);
  json["requests"] = requests_json(state);
  json["recovery"] = {{"devices_lost", state.devices_lost},
                      {"epochs_restarted", state.epochs_restarted},
                      {"last_seconds", state.last_recovery_seconds}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

InferenceService::Health cluster_health(const ClusterState& state) {
  InferenceService::Health health;
  health.ready = state.phase == Phase::Ready;
  health.state = name_of(state.phase);
  health.detail = state.detail;
  health.progress = health.ready ? 1 : 0;
  if (!state.pending || health.ready) return health;
  std::set<DeviceId> used;
  for (std::size_t stage = 0; stage < state.pending->plan.stages.size(); ++stage)
    used.insert(state.pending->device_of(stage));
  double loaded = 0;  // each device's share alike: who has said nothing yet has loaded nothing
  for (const DeviceId id : used) {
    const auto& status = state.members.at(id).status;
    if (!status || status->epoch != state.pending->epoch || status->bytes_total == 0) continue;
    loaded += static_cast<double>(status->bytes_present) / static_cast<double>(status->bytes_total);
  }
  health.progress = used.empty() ? 0 : loaded / static_cast<double>(used.size());
  return health;
}

}  // namespace shoal
