#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/printable.h"
#include "base/result.h"
#include "model/model_config.h"
#include "transport/limits.h"
#include "transport/link_probe.h"
#include "transport/messages.h"
#include "transport/network.h"
#include "transport/network_commands.h"
#include "worker/sent_log.h"
#include "worker/step_window.h"

namespace shoal {

// The worker's decisions, pure: no socket, clock, thread or file. The reactor feeds events and performs
// commands (worker/worker_process.cpp over ZeroMQ, simulation/sim_worker.cpp over the simulated network).

// ---- What happens to it
// ---------------------------------------------------------------------------------------------------------

struct Tick {};

// The disk store looked at a plan's tensors. missing[i] is resumed at panel `first_panel` of `num_panels`.
struct MissingTensor {
  TensorRef tensor;
  std::uint32_t first_panel = 0;
  std::uint32_t num_panels = 0;
  std::uint64_t panel_stored_bytes = 0;
};
struct StoreChecked {
  Epoch epoch{};
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_present = 0;
  std::vector<MissingTensor> missing;
};
// One ShardData is on disk (repacked). `complete`: the tensor is verified and in its place.
struct ShardWritten {
  Sha256 tensor{};
  std::uint32_t first_panel = 0;
  std::uint32_t num_panels = 0;
  std::uint64_t stored_bytes = 0;
  bool complete = false;
};
struct StoreFailed {
  Sha256 tensor{};
  std::string reason;
  bool restart = false;  // what was fetched is worthless (wrong hash): fetch the tensor again from panel 0
};

// The compute thread opened the plan's stages (or could not), or finished a step.
struct StagesOpened {
  Epoch epoch{};
  std::uint64_t scratch_bytes = 0;
  std::uint64_t kv_bytes = 0;
  std::optional<Error> error;
};
// What a stage hands on: a frame for the stage after it, or candidates for the hub.
using StepOutput = std::variant<StepFrame, CandidatesFrame>;
struct StepDone {
  Epoch epoch{};
  std::uint32_t stage = 0;
  StepOutput output;  // where `error` is set: the frame that was to be run
  SharedBuffer rows;  // the output's payload, for repeats
  double seconds = 0;
  std::optional<Error> error;
};
inline const std::vector<RowGroup>& groups_of(const StepDone& done) {
  return std::visit([](const auto& output) -> const std::vector<RowGroup>& { return output.groups; },
                    done.output);
}
struct ProfileDone {
  ProfileReport report;
};
// The compute thread had its turn: the way there and back is what handing over a step costs.
struct ComputeEchoed {};

// What the process measures of itself, for beats.
struct SelfMeasured {
  std::uint64_t resident_bytes = 0;
  std::uint64_t finished_work = 0;
  std::vector<std::uint32_t> free_kv_blocks;
  Heat heat;
};

using WorkerEvent = std::variant<NetworkEvent, Tick, StoreChecked, ShardWritten, StoreFailed, StagesOpened,
                                 StepDone, ProfileDone, ComputeEchoed, SelfMeasured>;

// ---- What it wants done
// ---------------------------------------------------------------------------------------------------------

// Which of these tensors are on disk? Answered by StoreChecked. Also ends writing for an earlier plan.
struct CheckStore {
  Epoch epoch{};
  std::vector<TensorRef> tensors;
};
struct WriteShard {
  TensorRef tensor;
  ShardData data;
};
// Close the stages of the earlier plan, open this one's. Steps of its epoch queue behind it.
struct OpenStages {
  PlanMessage plan;  // peers and endpoints aside, all that the stages need
  DeviceId self{};
};
struct RunStep {
  StepFrame frame;
};
struct MeasureProfile {
  ProfileRequest request;
};
// Answered by ComputeEchoed, at once when the compute thread is idle.
struct EchoCompute {};
// The hub does not know this worker's key (any more): register it with the token again, as a worker that
// starts.
struct JoinAgain {};
struct Exit {  // with a failure
  std::string reason;
};

using WorkerCommand =
    std::variant<SendMessage, AdmitPeer, RevokePeer, ConnectPeer, DisconnectPeer, CheckStore, WriteShard,
                 OpenStages, RunStep, MeasureProfile, EchoCompute, JoinAgain, Exit>;

// ---- State
// ----------------------------------------------------------------------------------------------------------------------

struct WorkerSettings {
  Hello hello;        // what it says of itself; epoch is filled in
  DeviceId device{};  // from the join reply
};

// A plan on its way to being runnable: the tensors it lacks are asked for in order, a few requests ahead of
// what is written. Only what was asked for is written: an answer that comes twice (after a fetch began anew)
// is dropped.
struct PlanProgress {
  PlanMessage plan;
  ModelConfig config;
  StageState stage_state = StageState::Loading;
  std::string failure;  // why, when Failed; the hub alone goes on from there, with another plan
  std::uint64_t bytes_total = 0;
  std::uint64_t bytes_present = 0;
  std::uint64_t bytes_received = 0;
  bool checking = false;  // the store is asked what it holds; what it said before no longer counts
  std::vector<MissingTensor> missing;
  std::size_t num_complete = 0;     // of missing
  std::size_t asking = 0;           // index into missing
  std::uint32_t next_panel = 0;     // of missing[asking]
  std::vector<ShardRequest> asked;  // not yet answered, in order
  std::uint32_t writing = 0;        // answered, not yet on disk
  std::uint32_t num_restarts = 0;   // because what was fetched was worthless
  Time reported_at{};
  Time progressed_at{};

  bool ready() const { return stage_state == StageState::Ready; }
};

// The plan that counts.
struct ActivePlan {
  PlanMessage plan;
  ModelConfig config;
  StageStatus loaded;  // what making it ready took
};

// A step that was handed to the compute thread.
struct RunningStep {
  std::uint32_t stage = 0;
  SequenceId sequence{};
  StepNumber step{};
  Time taken_at{};
  double transit_seconds = 0;  // from its sender, by two clocks
  bool found_idle = false;     // nothing else ran here when it came
};

// A measurement that the hub asked for: first how long handing over takes, then the compute thread's part.
struct Profiling {
  ProfileRequest request;
  std::vector<double> hand_overs;  // seconds
  std::optional<Time> echo_sent_at;
};

// A device that may send to this one, and that it may send to.
struct Peer {
  PeerAddress address;
  Time named_at{};  // last named by a plan or a request to probe
};

struct WorkerState {
  WorkerSettings settings;
  bool connected = false;  // control lane is up
  bool welcomed = false;
  std::optional<PlanProgress> pending;
  std::optional<ActivePlan> active;
  std::map<std::uint32_t, StepWindow> windows;  // per stage held
  SentLog log;
  std::optional<Profiling> profiling;
  double hand_over_seconds = 0;  // as measured last
  LinkProbe probe;
  Time probe_not_before{};
  bool probe_is_urgent = false;  // it goes on though steps flow
  std::map<DeviceId, Peer> peers;
  std::vector<RunningStep> running;  // of the active plan
  Time step_taken_at{};              // the last one
  Beat totals;                       // counters of the next beat
  Time beat_at{};
};

// A reason as a message may carry it: short enough, and printable.
inline std::string reason_text(const std::string& text) {
  return printable(text, kMaxReasonBytes - 3);
}  // room for the ellipsis

WorkerState make_worker_state(WorkerSettings settings, Time now);

// Appends commands. Time only moves forward.
void on_event(WorkerState& state, WorkerEvent event, Time now, std::vector<WorkerCommand>& commands);

}  // namespace shoal
