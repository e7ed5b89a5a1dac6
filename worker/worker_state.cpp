#include "worker/worker_state.h"

#include <algorithm>

#include "base/log.h"
#include "model/model_config_codec.h"
#include "transport/limits.h"
#include "worker/plan_check.h"
#include "worker/plan_fetch.h"
#include "worker/step_intake.h"

namespace shoal {
namespace {

constexpr Duration kForgetPeersAfter =
    std::chrono::minutes(1);  // that no plan names; a measurement of links may still be under way
constexpr Duration kLinkSettleTime =
    std::chrono::milliseconds(300);  // for new connections' handshakes, before they are measured
constexpr int kHandOvers = 9;
constexpr Duration kQuietBeforePing = std::chrono::milliseconds(100);  // without a step
constexpr Duration kProbePatience =
    std::chrono::seconds(6);  // for such quiet: then what was measured so far is told

using Commands = std::vector<WorkerCommand>;

void to_hub(Message message, Commands& commands) {
  commands.push_back(SendMessage{kHub, Lane::Control, std::move(message)});
}

Epoch active_epoch(const WorkerState& state) { return state.active ? state.active->plan.epoch : Epoch{0}; }

void say_hello(WorkerState& state, Commands& commands) {
  Hello hello = state.settings.hello;
  hello.epoch = active_epoch(state);
  to_hub(std::move(hello), commands);
}

void send_beat(WorkerState& state, Time now, Commands& commands) {
  state.totals.epoch = active_epoch(state);
  state.totals.busy = state.running.size();
  to_hub(state.totals, commands);
  state.totals.work.clear();
  state.beat_at = now;
}

// Neighbours are admitted and connected before the plan counts, so that its first frame finds the way open.
void connect_peers(WorkerState& state, const std::vector<PeerAddress>& peers, Time now, Commands& commands) {
  for (const PeerAddress& peer : peers) {
    if (peer.device == state.settings.device || peer.device == kHub) continue;
    Peer& known = state.peers[peer.device];
    known.named_at = now;
    commands.push_back(AdmitPeer{
        peer.device,
        peer.public_key});  // each time: a neighbour cut off for a bad frame is given another chance
    if (known.address == peer) continue;
    known.address = peer;
    commands.push_back(ConnectPeer{peer.device, Lane::Data, peer.inbox, peer.public_key});
  }
}

// Devices that left are no longer let in, nor called for ever.
void forget_peers(WorkerState& state, Time now, Commands& commands) {
  const std::vector<PeerAddress>& neighbours = state.active->plan.peers;
  std::erase_if(state.peers, [&](const auto& known) {
    const DeviceId device = known.first;
    const bool is_neighbour =
        std::ranges::any_of(neighbours, [&](const PeerAddress& p) { return p.device == device; });
    if (is_neighbour || now - known.second.named_at < kForgetPeersAfter) return false;
    commands.push_back(DisconnectPeer{device, Lane::Data});
    commands.push_back(RevokePeer{device});
    return true;
  });
}

void activate(WorkerState& state, Time now, Commands& commands) {
  PlanProgress& pending = *state.pending;
  const StageStatus loaded{.epoch = pending.plan.epoch,
                           .state = StageState::Ready,
                           .bytes_total = pending.bytes_total,
                           .bytes_present = pending.bytes_present,
                           .bytes_received = pending.bytes_received};
  state.active =
      ActivePlan{.plan = std::move(pending.plan), .config = std::move(pending.config), .loaded = loaded};
  state.pending.reset();
  state.windows.clear();
  state.log.clear();
  state.log.set_budget(state.active->plan.log_bytes);
  state.running.clear();
  forget_peers(state, now, commands);
  commands.push_back(OpenStages{state.active->plan, state.settings.device});
  send_beat(state, now, commands);
}

// ---- From the hub
// ---------------------------------------------------------------------------------------------------------------

void on(WorkerState& state, const Welcome&, Time now, Commands& commands) {
  state.welcomed = true;
  send_beat(state, now, commands);
}

void on(WorkerState&, const Refused& refused, Time, Commands& commands) {
  commands.push_back(Exit{"the hub refused this worker: " + refused.reason});
}

// Layers and KV stay: the hub may be back in a moment, and the network looks for it.
void on(WorkerState& state, const Goodbye& goodbye, Time, Commands&) {
  log_info("hub_said_goodbye", {{"reason", goodbye.reason}, {"next", "looking for the hub again"}});
  state.connected = state.welcomed = false;
}

void on(WorkerState& state, PlanMessage plan, Time now, Commands& commands) {
  if (state.pending && plan.epoch == state.pending->plan.epoch)
    return report_progress(*state.pending, now, commands);  // told again
  const Epoch newest = state.pending ? state.pending->plan.epoch : active_epoch(state);
  if (raw(plan.epoch) <= raw(newest)) return;
  Result<ModelConfig> config = parse_model_config(plan.config);
  Status sense = config ? check_plan(plan, *config) : Status(fail(config.error()));
  if (!sense) {
    to_hub(
        StageStatus{
            .epoch = plan.epoch, .state = StageState::Failed, .reason = reason_text(sense.error().message())},
        commands);
    return;
  }
  connect_peers(state, plan.peers, now, commands);
  begin_plan(state, std::move(plan), *std::move(config), now, commands);
}

void on(WorkerState& state, const Activate& order, Time now, Commands& commands) {
  if (state.pending && state.pending->ready() && state.pending->plan.epoch == order.epoch)
    activate(state, now, commands);
}

void on(WorkerState& state, ProfileRequest request, Time, Commands&) {
  state.profiling = Profiling{.request = std::move(request), .hand_overs = {}, .echo_sent_at = {}};
}

void on(WorkerState& state, const ProbeLinks& probe, Time now, Commands& commands) {
  connect_peers(state, probe.peers, now, commands);
  std::vector<DeviceId> peers{kHub};  // always connected
  for (const PeerAddress& peer : probe.peers) {
    if (peer.device != state.settings.device) peers.push_back(peer.device);
  }
  // Each begins with the device after itself, so that not all measure the same one at once.
  std::ranges::sort(peers);
  std::ranges::rotate(peers, std::ranges::upper_bound(peers, state.settings.device));
  state.probe.start(std::move(peers), state.settings.device, {probe.decode_bytes, probe.prefill_bytes});
  state.probe_not_before = now + kLinkSettleTime;
  state.probe_is_urgent = probe.urgent;
}

// ---- From anybody
// ---------------------------------------------------------------------------------------------------------------

void on_ping(DeviceId from, const Ping& ping, Commands& commands) {
  commands.push_back(SendMessage{from, Lane::Data, Pong{.nonce = ping.nonce, .payload = {}}});
}

// Steps neither wait for pings nor spoil what these measure.
void continue_probe(WorkerState& state, Time now, Commands& commands) {
  if (now < state.probe_not_before) return;
  const bool steps_flow = !state.running.empty() || now - state.step_taken_at < kQuietBeforePing;
  if (steps_flow && !state.probe_is_urgent) {
    state.probe.disturb();
    if (now - state.probe_not_before > kProbePatience) state.probe.stop();
  } else if (std::optional<LinkProbe::Outgoing> out = state.probe.next(now)) {
    commands.push_back(SendMessage{out->to, Lane::Data, std::move(out->ping)});
  }
  if (std::optional<LinkReport> report = state.probe.take_report()) to_hub(*std::move(report), commands);
}

void on_step_frame(WorkerState& state, DeviceId from, StepFrame frame, Time now, Commands& commands) {
  // The hub sends steps of a plan once every worker is ready for it; its Activate may be slower than a
  // neighbour's first frame.
  if (state.pending && state.pending->ready() && frame.epoch == state.pending->plan.epoch)
    activate(state, now, commands);
  take_step(state, from, std::move(frame), now, commands);
}

void on_received(WorkerState& state, Received received, Time now, Commands& commands) {
  const DeviceId from = received.from;
  const auto reject = [&] { ++state.totals.rejected_frames; };
  std::visit(
      [&]<typename M>(M& message) {
        if constexpr (std::is_same_v<M, StepFrame>) {
          received.lane == Lane::Data ? on_step_frame(state, from, std::move(message), now, commands)
                                      : reject();
        } else if constexpr (std::is_same_v<M, Ping>) {
          received.lane == Lane::Data ? on_ping(from, message, commands) : reject();
        } else if constexpr (std::is_same_v<M, Pong>) {
          state.probe.on_pong(from, message, now);  // the next ping goes with a tick: as steps, after a pause
        } else if constexpr (std::is_same_v<M, ShardData>) {
          from == kHub&& received.lane == Lane::Bulk ? take_shard(state, std::move(message), now, commands)
                                                     : reject();
        } else if constexpr (requires { on(state, std::move(message), now, commands); }) {
          from == kHub&& received.lane == Lane::Control ? on(state, std::move(message), now, commands)
                                                        : reject();
        } else {
          reject();
        }
      },
      received.message);
}

void on_peer_up(WorkerState& state, const PeerUp& up, Time now, Commands& commands) {
  if (up.device != kHub) return;
  if (up.lane == Lane::Control) {
    state.connected = true;
    say_hello(state, commands);
  } else if (up.lane == Lane::Bulk) {
    restart_fetch(state, now, commands);  // requests under way died with the old connection
  }
}

void on_hub_lost(WorkerState& state, const PeerDown& down, Commands& commands) {
  state.connected = state.welcomed = false;
  log_warn("hub_lost",
           {{"reason", down.reason},
            {"next", down.key_refused ? "joining again with the token" : "looking for the hub again"}});
  if (down.key_refused) commands.push_back(JoinAgain{});
}

void on_peer_down(WorkerState& state, const PeerDown& down, Commands& commands) {
  if (down.device == kHub) {
    if (down.lane == Lane::Control) on_hub_lost(state, down, commands);
    return;
  }
  if (state.active && down.lane == Lane::Data) {
    to_hub(PeerUnreachable{.epoch = active_epoch(state), .device = down.device}, commands);
  }
}

void on_network(WorkerState& state, NetworkEvent event, Time now, Commands& commands) {
  if (auto* received = std::get_if<Received>(&event)) {
    on_received(state, std::move(*received), now, commands);
  } else if (const auto* up = std::get_if<PeerUp>(&event)) {
    on_peer_up(state, *up, now, commands);
  } else if (const auto* down = std::get_if<PeerDown>(&event)) {
    on_peer_down(state, *down, commands);
  } else if (const auto* malformed = std::get_if<Malformed>(&event)) {
    ++state.totals.rejected_frames;
    // Nothing more of it is read here: for the plan it is as far away as behind a cut cable.
    if (malformed->from != kHub)
      to_hub(PeerUnreachable{.epoch = active_epoch(state), .device = malformed->from}, commands);
  }
}

// ---- Measuring itself
// ---------------------------------------------------------------------------------------------------------------

// One hand-over per tick: as steps, after a pause.
void continue_profiling(WorkerState& state, Time now, Commands& commands) {
  if (!state.profiling) return;
  Profiling& profiling = *state.profiling;
  if (profiling.hand_overs.size() < kHandOvers) {
    if (profiling.echo_sent_at) return;
    profiling.echo_sent_at = now;
    commands.push_back(EchoCompute{});
    return;
  }
  const auto middle = profiling.hand_overs.begin() + kHandOvers / 2;
  std::ranges::nth_element(profiling.hand_overs, middle);
  state.hand_over_seconds = *middle;
  commands.push_back(MeasureProfile{std::move(profiling.request)});
  state.profiling.reset();
}

void on_compute_echoed(WorkerState& state, Time now) {
  if (!state.profiling || !state.profiling->echo_sent_at) return;
  state.profiling->hand_overs.push_back(seconds(now - *state.profiling->echo_sent_at));
  state.profiling->echo_sent_at.reset();
}

// ---- From its own threads
// -------------------------------------------------------------------------------------------------------

void on_stages_opened(WorkerState& state, StagesOpened opened, Commands& commands) {
  if (!state.active || state.active->plan.epoch != opened.epoch) return;
  StageStatus status = state.active->loaded;
  status.scratch_bytes = opened.scratch_bytes;
  status.kv_bytes = opened.kv_bytes;
  if (opened.error) {
    status.state = StageState::Failed;
    status.reason = reason_text(opened.error->message());
  }
  to_hub(std::move(status), commands);
}

void on_tick(WorkerState& state, Time now, Commands& commands) {
  if (!state.connected) return;
  if (now - state.beat_at >= kBeatInterval) send_beat(state, now, commands);
  continue_profiling(state, now, commands);
  continue_probe(state, now, commands);
  watch_fetch(state, now, commands);
}

void on_self_measured(WorkerState& state, SelfMeasured measured) {
  state.totals.resident_bytes = measured.resident_bytes;
  state.totals.finished_work = measured.finished_work;
  state.totals.free_kv_blocks = std::move(measured.free_kv_blocks);
  state.totals.heat = measured.heat;
}

}  // namespace

WorkerState make_worker_state(WorkerSettings settings, Time now) {
  WorkerState state;
  state.settings = std::move(settings);
  state.beat_at = now;
  return state;
}

void on_event(WorkerState& state, WorkerEvent event, Time now, Commands& commands) {
  std::visit(
      [&]<typename E>(E& e) {
        if constexpr (std::is_same_v<E, NetworkEvent>) {
          on_network(state, std::move(e), now, commands);
        } else if constexpr (std::is_same_v<E, Tick>) {
          on_tick(state, now, commands);
        } else if constexpr (std::is_same_v<E, StoreChecked>) {
          on_store_checked(state, std::move(e), now, commands);
        } else if constexpr (std::is_same_v<E, ShardWritten>) {
          on_shard_written(state, e, now, commands);
        } else if constexpr (std::is_same_v<E, StoreFailed>) {
          on_store_failed(state, e, now, commands);
        } else if constexpr (std::is_same_v<E, StagesOpened>) {
          on_stages_opened(state, std::move(e), commands);
        } else if constexpr (std::is_same_v<E, StepDone>) {
          finish_step(state, std::move(e), now, commands);
        } else if constexpr (std::is_same_v<E, ProfileDone>) {
          e.report.hand_over_seconds = state.hand_over_seconds;
          to_hub(std::move(e.report), commands);
        } else if constexpr (std::is_same_v<E, ComputeEchoed>) {
          on_compute_echoed(state, now);
        } else {
          static_assert(std::is_same_v<E, SelfMeasured>);
          on_self_measured(state, std::move(e));
        }
      },
      event);
}

}  // namespace shoal
