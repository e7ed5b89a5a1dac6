#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "coordinator/inference.h"
#include "coordinator/scheduler.h"
#include "coordinator/silence.h"
#include "model/model_config.h"
#include "partition/planner.h"
#include "transport/link_probe.h"
#include "transport/messages.h"
#include "transport/network_commands.h"

namespace shoal {

// The hub's decisions, pure: who is a member, which plan counts, what to do when a device is lost, and
// (through the scheduler) which step goes next. It meets no socket, clock or thread:
// coordinator/coordinator_process.cpp performs the commands over ZeroMQ, the simulator over its own network.

// ---- What it serves and how
// -----------------------------------------------------------------------------------------------------

struct ServedModel {
  std::string id;  // as clients name it
  Sha256 hash{};   // of all tensors' hashes and the config: the model as arithmetic sees it
  ModelConfig config;
  std::vector<std::byte> config_bytes;
  std::vector<TensorSpec> specs;
  std::vector<TensorRef> tensors;  // parallel to specs
};

struct ClusterSettings {
  std::uint32_t term = 1;        // high half of every epoch
  std::uint32_t min_stages = 1;  // binds plans made by choice, never a repair
  std::uint32_t expect_devices =
      0;  // wait this long list of devices before the first plan (for `expect_patience`)
  Duration expect_patience = std::chrono::seconds(30);
  Objective objective = Objective::Balanced;
  std::uint32_t max_context = 2048;
  std::uint32_t kv_positions =
      8192;  // KV over all sequences; less where memory is short, never below one full context
  KvType kv_type = KvType::F16;
  std::uint32_t max_sequences = 64;
  std::uint32_t log_bytes = 4 << 20;
  std::uint64_t arithmetic_digest = 0;  // of the hub's own kernels
  bool allow_inexact = false;           // plan devices whose kernels give other bits
  std::uint16_t control_port = 0;
  std::uint16_t data_port = 0;
  std::uint16_t bulk_port = 0;
  SchedulerOptions scheduler;
};

// ---- Events and commands
// --------------------------------------------------------------------------------------------------------

struct ClusterTick {};
struct SubmitRequest {
  RequestId id = 0;
  InferenceRequest request;  // seed drawn
};
struct CancelRequest {
  RequestId id = 0;
};
using ClusterEvent = std::variant<NetworkEvent, ClusterTick, SubmitRequest, CancelRequest>;

struct AnswerJoin {
  std::uint64_t ticket = 0;
  JoinReply reply;
};
struct DeliverEvent {
  RequestId id = 0;
  InferenceEvent event;
};
// To be kept over a restart of the hub.
struct RememberDevice {
  DeviceId device{};
  std::string name;
  std::string public_key;
  bool revoked = false;
};
struct RememberProfile {
  std::string public_key;
  std::string kernels;
  std::uint32_t num_threads = 0;
  ProfileReport report;
};
// Which device held what under the last plan made by choice: devices still have these layers on disk.
struct RememberPlan {
  struct Stage {
    std::string public_key;
    Range units;
  };
  Sha256 model{};
  std::vector<Stage> stages;
};
using ClusterCommand = std::variant<SendMessage, AdmitPeer, RevokePeer, ConnectPeer, DisconnectPeer,
                                    AnswerJoin, DeliverEvent, RememberDevice, RememberProfile, RememberPlan>;

// ---- State
// ----------------------------------------------------------------------------------------------------------------------

struct Member {
  DeviceId id{};
  std::string name;
  std::string public_key;
  bool revoked = false;
  bool online = false;      // its Hello was accepted and it was not lost since
  bool may_return = false;  // lost by its silence, not by death: its next beat brings it back
  Time seen_at{};           // when it joined or was lost last; of an earlier run: never
  std::string excluded;     // why no stage may run there; empty if it may
  Hello hello;
  std::vector<std::uint64_t> replaced;  // instances whose place a newer process took
  Beat beat;
  SilenceDetector silence;
  Time working_at{};                  // when its compute pool was last seen to move, or had nothing to do
  std::optional<StageStatus> status;  // of the newest plan it spoke of
  Time load_heard_at{};  // while it loads the plan in preparation: last status, last progress, last time it
                         // was told
  Time load_moved_at{};
  Time load_told_at{};
  std::optional<ProfileReport> profile;
  std::uint32_t profile_attempts = 0;           // without a complete answer
  std::vector<RememberProfile> known_profiles;  // from earlier runs
  std::map<DeviceId, LinkMeasurement> links;    // from it; kHub included
  std::optional<LinkMeasurement> from_hub;
  bool links_measured = false;
  Time links_again_at{};       // after a round that did not reach it
  std::uint32_t failures = 0;  // stages that could not load or open
  Time retry_at{};             // after a failure: not planned before
  // Measured while it serves, moving averages.
  double decode_seconds = 0;  // per decode step
  double prefill_seconds_per_row = 0;
};

// A plan with what the planner was asked and what it needs told to workers.
struct PlanVersion {
  Epoch epoch{};
  PlanProblem problem;
  Plan plan;  // devices are indices into `devices`
  std::vector<DeviceId> devices;
  KvBudget kv;
  std::uint32_t kv_positions = 0;
  bool is_repair = false;
  std::string why;  // in words: "first plan", "lost cam-2", ...
  Time made_at{};
  std::set<DeviceId> awaited;  // not Ready yet

  DeviceId device_of(std::size_t stage) const { return devices[plan.stages[stage].device]; }
  bool uses(DeviceId device) const;
};

enum class Phase { WaitingForDevices, Measuring, Loading, Ready, Recovering, InsufficientMemory };
const char* name_of(Phase phase);

struct ClusterState {
  ClusterState(ServedModel m, ClusterSettings s, const TokenText& text);

  ServedModel model;
  ClusterSettings settings;
  std::map<DeviceId, Member> members;
  DeviceId last_device{0};
  std::uint32_t plan_version = 0;  // low half of the newest epoch

  Phase phase = Phase::WaitingForDevices;
  std::string detail = "no device has joined yet";
  std::optional<PlanVersion> active;  // the plan that serves, or served until a device was lost
  bool active_is_whole = false;
  std::optional<PlanVersion> pending;
  std::string recovering_why;            // what broke it
  std::optional<Time> helpless_since;    // no plan can serve: requests wait for help since then
  bool planning_failed = false;          // nothing to plan anew until the membership changes
  std::optional<RememberPlan> familiar;  // the last plan made by choice, of an earlier run too
  bool lost_devices_before = false;      // min_stages binds less once devices were lost
  Time started_at{};
  Time awake_at{};  // of the last event: a gap since then tells that the hub itself stood still
  Time membership_changed_at{};
  bool membership_changed = false;  // since the last look for a better plan

  // Measuring.
  std::optional<DeviceId> profiling;
  Time profiling_since{};
  LinkProbe probe;             // hub's own
  bool probing_links = false;  // a round is under way
  std::set<DeviceId> probing;  // whose reports it awaits
  Time probing_since{};
  bool probe_judges =
      false;  // the round was asked for because steps get lost: who does not answer is cut off
  bool probe_wanted = false;
  Time probe_again_at{};                                 // broken links are tried again
  std::set<std::pair<DeviceId, DeviceId>> broken_links;  // coordinator/broken_links.h

  Scheduler scheduler;
  std::uint32_t fruitless_epochs = 0;  // restarts since a step last came back
  // When the plan began to serve, or a link of it came into doubt: a step sent later proves that it works.
  std::optional<Time> doubted_at;

  // Counters for /api/cluster.
  std::uint64_t epochs_restarted = 0;
  std::uint64_t devices_lost = 0;
  double last_recovery_seconds = 0;
  std::optional<Time> recovering_since;
};

// A device admitted in an earlier run.
void restore_member(ClusterState& state, const RememberDevice& device, std::vector<RememberProfile> profiles,
                    std::vector<ClusterCommand>& commands);

// Appends commands. Time only moves forward.
void on_event(ClusterState& state, ClusterEvent event, Time now, std::vector<ClusterCommand>& commands);

}  // namespace shoal
