#include "worker/worker_state.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/worker/worker_driver.h"
#include "transport/limits.h"

namespace shoal {
namespace {

constexpr Epoch kEpoch = make_epoch(1, 1);

const TinyModel& model() {
  static const TinyModel tiny{5};
  return tiny;
}
std::size_t width() { return model().config().hidden_size; }

// Self runs the middle of three stages.
PlanMessage middle_plan(Epoch epoch = kEpoch) {
  return plan_for(model(), epoch, {2, 5}, {kBefore, kSelf, kAfter});
}

StepFrame middle_step(std::uint64_t step, std::uint32_t position, std::uint32_t rows, Epoch epoch = kEpoch) {
  return frame_of(epoch, 1, {group_of(1, step, position, rows)}, width());
}

// What the compute thread would answer.
StepDone done_with(RunStep& run, std::byte value = std::byte{1}) {
  static SharedBufferPool pool;
  StepDone done{.epoch = run.frame.epoch,
                .stage = run.frame.stage,
                .output = {},
                .rows = {},
                .seconds = 0.5,
                .error = {}};
  done.rows = pool.take(run.frame.ids.size() * width() * sizeof(float));
  std::fill_n(done.rows.data(), done.rows.size(), value);
  StepFrame next = std::move(run.frame);
  next.stage += 1;
  fill_payload(done.rows, next.payload);
  done.output = std::move(next);
  return done;
}

}  // namespace

TEST_CASE("hello comes first on every control connection, and says which plan still runs") {
  WorkerDriver worker;
  worker.feed(NetworkEvent(PeerUp{kHub, Lane::Data}));
  CHECK(worker.commands.empty());
  worker.feed(NetworkEvent(PeerUp{kHub, Lane::Control}));
  const auto hello = worker.sent<Hello>();
  REQUIRE(hello);
  CHECK(hello->name == "tested");
  CHECK(hello->epoch == Epoch{0});
  worker.run_plan(middle_plan());
  worker.feed(NetworkEvent(PeerDown{kHub, Lane::Control, true}));
  worker.tick(std::chrono::seconds(1));
  CHECK(worker.commands.empty());  // nobody to tell
  worker.feed(NetworkEvent(PeerUp{kHub, Lane::Control}));
  CHECK(worker.sent<Hello>()->epoch == kEpoch);
}

TEST_CASE("beats tell what was measured, once per interval") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.feed(SelfMeasured{.resident_bytes = 123, .finished_work = 9, .free_kv_blocks = {4, 5}});
  worker.feed(NetworkEvent(Malformed{kBefore, Lane::Data, "noise"}));
  worker.tick(kBeatInterval);
  const auto beat = worker.sent<Beat>();
  REQUIRE(beat);
  CHECK(beat->epoch == kEpoch);
  CHECK(beat->resident_bytes == 123);
  CHECK(beat->finished_work == 9);
  CHECK(beat->free_kv_blocks == std::vector<std::uint32_t>{4, 5});
  CHECK(beat->rejected_frames == 1);
  worker.tick(kTick);
  CHECK(worker.count_sent<Beat>() == 0);
}

TEST_CASE("a plan is checked against the store, reported ready and opened when the hub says so") {
  WorkerDriver worker;
  worker.feed(NetworkEvent(PeerUp{kHub, Lane::Control}));
  PlanMessage plan = middle_plan();
  plan.peers.push_back({kAfter, "tcp://127.0.0.1:4001", std::string(40, 'a')});
  worker.hear(plan);
  CHECK(worker.take<AdmitPeer>()->device == kAfter);
  const auto connect = worker.take<ConnectPeer>();
  CHECK(connect->device == kAfter);
  CHECK(connect->lane == Lane::Data);
  CHECK(worker.take<CheckStore>()->tensors == plan.tensors);
  worker.hear(Activate{plan.epoch});
  CHECK(worker.count<OpenStages>() == 0);  // not ready yet
  worker.feed(StoreChecked{.epoch = plan.epoch, .bytes_total = 7, .bytes_present = 7, .missing = {}});
  const auto ready = worker.sent<StageStatus>();
  REQUIRE(ready);
  CHECK(ready->state == StageState::Ready);
  CHECK(ready->bytes_present == 7);
  worker.hear(Activate{plan.epoch});
  CHECK(worker.take<OpenStages>()->plan.epoch == plan.epoch);
  worker.feed(StagesOpened{.epoch = plan.epoch, .scratch_bytes = 5, .kv_bytes = 6, .error = {}});
  const auto opened = worker.sent<StageStatus>();
  CHECK(opened->state == StageState::Ready);
  CHECK(opened->scratch_bytes == 5);
  worker.hear(plan);  // again: nothing new
  CHECK(worker.count<CheckStore>() == 0);
}

TEST_CASE("stages that cannot be opened are told to the hub with the reason, cut to what a message carries") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.feed(StagesOpened{.epoch = kEpoch,
                           .error = Error(ErrorCode::OutOfMemory, "no memory\x01" + std::string(5000, 'x'))});
  const auto failed = worker.sent<StageStatus>();
  REQUIRE(failed);
  CHECK(failed->state == StageState::Failed);
  CHECK(failed->reason.starts_with("no memory?xxx"));
  CHECK(failed->reason.size() <= kMaxReasonBytes);
  worker.feed(StagesOpened{.epoch = make_epoch(1, 0), .error = Error(ErrorCode::OutOfMemory, "old")});
  CHECK(worker.count_sent<StageStatus>() == 0);
}

TEST_CASE("the first frame of the new plan activates it where the order is slower") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  const Epoch newer = make_epoch(1, 2);
  worker.hear(middle_plan(newer));
  worker.feed(StoreChecked{.epoch = newer, .missing = {}});
  worker.clear();
  worker.hear(middle_step(1, 0, 3, newer), kBefore, Lane::Data);
  CHECK(worker.take<OpenStages>()->plan.epoch == newer);
  CHECK(worker.take<RunStep>()->frame.epoch == newer);
  worker.hear(Activate{newer});
  CHECK(worker.count<OpenStages>() == 0);
}

TEST_CASE("frames and plans of an old epoch are dropped where they arrive") {
  WorkerDriver worker;
  worker.run_plan(middle_plan(make_epoch(2, 5)));
  worker.hear(middle_step(1, 0, 3, make_epoch(2, 4)), kBefore, Lane::Data);
  worker.hear(middle_step(1, 0, 3, make_epoch(2, 6)), kBefore, Lane::Data);
  worker.hear(middle_plan(make_epoch(1, 99)));  // an earlier run of the hub
  worker.hear(Activate{make_epoch(1, 99)});
  CHECK(worker.commands.empty());
  CHECK(worker.state.totals.rejected_frames == 2);
}

TEST_CASE("what does not fit the plan is refused, counted, and crashes nothing") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  const auto refusal = [&](StepFrame frame, DeviceId from = kBefore) {
    worker.hear(std::move(frame), from, Lane::Data);
    CHECK(worker.count<RunStep>() == 0);
    auto refused = worker.sent<StepRefused>();
    REQUIRE(refused);
    return *refused;
  };
  StepFrame wrong_stage = middle_step(1, 0, 3);
  wrong_stage.stage = 2;
  CHECK(refusal(std::move(wrong_stage)).reason == RefusalReason::Invalid);
  StepFrame far_stage = middle_step(1, 0, 3);
  far_stage.stage = 200;
  CHECK(refusal(std::move(far_stage)).reason == RefusalReason::Invalid);
  CHECK(refusal(middle_step(1, 0, 3), kAfter).detail.find("device") != std::string::npos);
  CHECK(refusal(middle_step(1, 0, 3), kHub).reason == RefusalReason::Invalid);
  StepFrame other_pipeline = middle_step(1, 0, 3);
  other_pipeline.pipeline = PipelineId{9};
  CHECK(refusal(std::move(other_pipeline)).reason == RefusalReason::Invalid);
  StepFrame foreign_id = middle_step(1, 0, 3);
  foreign_id.ids[1] = static_cast<TokenId>(model().config().vocab_size);
  CHECK(refusal(std::move(foreign_id)).detail.find("vocabulary") != std::string::npos);
  StepFrame no_payload = middle_step(1, 0, 3);
  no_payload.payload.clear();
  CHECK(refusal(std::move(no_payload)).detail.find("payload of 0 bytes") != std::string::npos);
  StepFrame twice = middle_step(1, 0, 3);
  twice.payload.push_back(Payload::copy_of(twice.payload.front().bytes()));
  CHECK(refusal(std::move(twice)).reason == RefusalReason::Invalid);
  StepFrame foreign_open = middle_step(1, 0, 3);
  foreign_open.opens.push_back({.sequence = SequenceId{2}, .depth = 1, .params = {}});
  CHECK(refusal(std::move(foreign_open)).detail.find("no rows") != std::string::npos);
  StepFrame open_and_close = frame_of(kEpoch, 1, {group_of(2, 1, 0, 0, kCloses)}, width());
  open_and_close.opens.push_back({.sequence = SequenceId{2}, .depth = 1, .params = {}});
  CHECK(refusal(std::move(open_and_close)).detail.find("no rows") != std::string::npos);
  CHECK(worker.state.totals.rejected_frames == 10);
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Control);  // the wrong lane
  worker.hear(Activate{kEpoch}, kBefore);                     // not the hub
  worker.hear(Goodbye{"go"}, kBefore);
  worker.hear(JoinReply{}, kHub);
  CHECK(worker.commands.empty());
  CHECK(worker.state.totals.rejected_frames == 14);
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Data);
  CHECK(worker.count<RunStep>() == 1);  // none of it did any harm
}

TEST_CASE("a gap is refused with the step that is waited for") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Data);
  worker.hear(middle_step(3, 4, 1), kBefore, Lane::Data);
  const auto refused = worker.sent<StepRefused>();
  REQUIRE(refused);
  CHECK(refused->reason == RefusalReason::Gap);
  CHECK(refused->step == StepNumber{3});
  CHECK(refused->expected == StepNumber{2});
  CHECK(refused->epoch == kEpoch);
}

TEST_CASE("a step goes to the next worker, and a repeat is answered from the log with the same bytes") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Data);
  auto run = worker.take<RunStep>();
  REQUIRE(run);
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Data);
  CHECK(worker.commands.empty());  // still running
  worker.feed(done_with(*run, std::byte{9}));
  DeviceId to{};
  Lane lane{};
  const auto first = worker.sent<StepFrame>(&to, &lane);
  REQUIRE(first);
  CHECK(to == kAfter);
  CHECK(lane == Lane::Data);
  CHECK(first->stage == 2);
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Data);
  const auto again = worker.sent<StepFrame>(&to);
  REQUIRE(again);
  CHECK(to == kAfter);
  CHECK(*again == *first);
  CHECK(again->payload.front().bytes()[0] == std::byte{9});
  CHECK(worker.count<RunStep>() == 0);
}

TEST_CASE("a repeat whose answer left the log is lost, also while other steps run") {
  WorkerDriver worker;
  PlanMessage plan = middle_plan();
  plan.log_bytes = 1;  // only the newest stays
  worker.run_plan(plan);
  for (std::uint64_t step = 1; step <= 2; ++step) {
    worker.hear(middle_step(step, static_cast<std::uint32_t>(step - 1), 1), kBefore, Lane::Data);
    auto run = worker.take<RunStep>();
    worker.feed(done_with(*run));
  }
  worker.hear(middle_step(3, 2, 1), kBefore, Lane::Data);  // runs on
  worker.clear();
  worker.hear(middle_step(1, 0, 1), kBefore, Lane::Data);
  CHECK(worker.sent<StepRefused>()->reason == RefusalReason::Lost);
  worker.hear(middle_step(3, 2, 1), kBefore, Lane::Data);
  CHECK(worker.commands.empty());
}

TEST_CASE("a step that fails is refused with its reason; one of an ended plan is forgotten") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.hear(middle_step(1, 0, 3), kBefore, Lane::Data);
  auto run = worker.take<RunStep>();
  StepDone failed{.epoch = kEpoch,
                  .stage = 1,
                  .output = {},
                  .rows = {},
                  .error = Error(ErrorCode::OutOfMemory, "no KV block")};
  failed.output = std::move(run->frame);
  worker.feed(std::move(failed));
  const auto refused = worker.sent<StepRefused>();
  REQUIRE(refused);
  CHECK(refused->reason == RefusalReason::OutOfMemory);
  CHECK(refused->sequence == SequenceId{1});
  CHECK(refused->step == StepNumber{1});
  CHECK(worker.state.running.empty());
  worker.feed(StepDone{.epoch = make_epoch(1, 0),
                       .stage = 1,
                       .output = {},
                       .rows = {},
                       .error = Error(ErrorCode::Corrupt, "old")});
  worker.feed(StepDone{.epoch = kEpoch,
                       .stage = 1,
                       .output = {},
                       .rows = {},
                       .error = Error(ErrorCode::Corrupt, "of nothing")});
  CHECK(worker.commands.empty());
}

TEST_CASE("steps between two stages on one worker stay at home") {
  WorkerDriver worker;
  worker.run_plan(plan_for(model(), kEpoch, {2, 5}, {kSelf, kAfter, kSelf}));
  worker.hear(frame_of(kEpoch, 0, {group_of(1, 1, 0, 2)}, 0), kHub, Lane::Data);
  auto run = worker.take<RunStep>();
  worker.feed(done_with(*run));
  auto out = worker.sent<StepFrame>();
  REQUIRE(out);
  out->stage = 2;
  worker.hear(std::move(*out), kAfter, Lane::Data);
  auto last = worker.take<RunStep>();
  REQUIRE(last);
  StepDone done{.epoch = kEpoch,
                .stage = 2,
                .output = CandidatesFrame{.epoch = kEpoch, .stage = 2, .groups = last->frame.groups},
                .rows = {},
                .error = {}};
  worker.feed(std::move(done));
  DeviceId to{99};
  CHECK(worker.sent<CandidatesFrame>(&to));
  CHECK(to == kHub);
  worker.run_plan(plan_for(model(), make_epoch(1, 2), {2}, {kSelf, kSelf}));
  worker.hear(frame_of(make_epoch(1, 2), 0, {group_of(1, 1, 0, 2)}, 0), kHub, Lane::Data);
  auto first = worker.take<RunStep>();
  worker.feed(done_with(*first));
  CHECK(worker.take<RunStep>()->frame.stage == 1);
  CHECK(worker.count<SendMessage>() == 0);
}

TEST_CASE("steps are timed by their size, and closes count as none") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  const auto run = [&](StepFrame frame) {
    frame.sent_at_ns = nanoseconds(worker.now) - 2'000'000;
    worker.hear(std::move(frame), kBefore, Lane::Data);
    auto step = worker.take<RunStep>();
    REQUIRE(step);
    worker.advance(std::chrono::milliseconds(600));
    worker.feed(done_with(*step));  // says that it computed for half a second
  };
  run(middle_step(1, 0, 8));
  run(frame_of(kEpoch, 1, {group_of(1, 2, 8, 1), group_of(2, 1, 0, 0, kCloses)}, width()));
  run(frame_of(kEpoch, 1, {group_of(1, 3, 9, 0, kCloses)}, width()));
  worker.clear();
  worker.tick(kBeatInterval);
  const auto beat = worker.sent<Beat>();
  REQUIRE(beat);
  CHECK(beat->steps_taken == 3);
  REQUIRE(beat->work.size() == 2);
  const StageWork& prefill = beat->work[0];
  CHECK(prefill.stage == 1);
  CHECK(prefill.row_class == row_class_of(8));
  CHECK(prefill.steps == 1);
  CHECK(prefill.rows == 8);
  CHECK(prefill.context == 28);  // 0 + 1 + ... + 7
  CHECK(prefill.seconds == 0.5);
  CHECK(prefill.idle_steps == 1);
  CHECK(prefill.hand_over_seconds == doctest::Approx(0.1));
  CHECK(prefill.transit_seconds == doctest::Approx(0.002));
  CHECK(prefill.least_transit_seconds == doctest::Approx(0.002));
  const StageWork& decode = beat->work[1];
  CHECK(decode.row_class == row_class_of(1));
  CHECK(decode.steps == 1);
  CHECK(decode.rows == 1);
  CHECK(decode.context == 8);
  worker.tick(kBeatInterval);
  CHECK(worker.sent<Beat>()->work.empty());
}

TEST_CASE("what a step waited for another is no hand-over") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.hear(middle_step(1, 0, 1), kBefore, Lane::Data);
  auto first = worker.take<RunStep>();
  worker.hear(frame_of(kEpoch, 1, {group_of(2, 1, 0, 1)}, width()), kBefore, Lane::Data);
  auto second = worker.take<RunStep>();
  worker.advance(std::chrono::milliseconds(550));
  worker.feed(done_with(*first));
  worker.advance(std::chrono::milliseconds(900));
  worker.feed(done_with(*second));
  worker.clear();
  worker.tick(kBeatInterval);
  const auto beat = worker.sent<Beat>();
  REQUIRE(beat);
  REQUIRE(beat->work.size() == 1);
  CHECK(beat->work[0].steps == 2);
  CHECK(beat->work[0].seconds == 1.0);
  CHECK(beat->work[0].idle_steps == 1);
  CHECK(beat->work[0].hand_over_seconds == doctest::Approx(0.05));
}

TEST_CASE("a worker measures what handing over takes before the compute thread measures the rest") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.hear(ProfileRequest{.model = {}, .config = {}, .tensors = {}});
  CHECK(worker.count<MeasureProfile>() == 0);
  int echoes = 0;
  while (worker.count<MeasureProfile>() == 0 && echoes < 100) {
    worker.tick();
    if (!worker.take<EchoCompute>()) continue;
    // One of them meets a stall.
    worker.advance(++echoes == 4 ? std::chrono::milliseconds(50) : std::chrono::microseconds(70));
    worker.feed(ComputeEchoed{});
  }
  CHECK(echoes > 4);
  worker.feed(ProfileDone{ProfileReport{.model = {}, .units = {}, .read_bytes_per_second = 5}});
  const auto report = worker.sent<ProfileReport>();
  REQUIRE(report);
  CHECK(report->hand_over_seconds == doctest::Approx(70e-6));
  CHECK(report->read_bytes_per_second == 5);
}

TEST_CASE("pings wait while steps flow, and what was in flight then measures nothing") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  const auto ask = [&](bool urgent) {
    worker.hear(ProbeLinks{.peers = {}, .decode_bytes = 100, .prefill_bytes = 20000, .urgent = urgent});
    worker.clear();
    worker.tick(std::chrono::milliseconds(400));
  };
  ask(false);
  auto ping = worker.sent<Ping>();
  REQUIRE(ping);
  worker.hear(middle_step(1, 0, 1), kBefore, Lane::Data);
  auto step = worker.take<RunStep>();
  worker.tick();
  worker.hear(Pong{.nonce = ping->nonce, .payload = {}}, kHub, Lane::Data);
  CHECK_FALSE(worker.sent<Ping>());
  worker.feed(done_with(*step));
  worker.tick();
  CHECK_FALSE(worker.sent<Ping>());  // the next step may be on its way
  worker.tick(std::chrono::milliseconds(120));
  CHECK(worker.sent<Ping>());

  for (int i = 2; i < 90; ++i) {  // and now they flow for good
    worker.hear(middle_step(static_cast<std::uint64_t>(i), static_cast<std::uint32_t>(i - 1), 1), kBefore,
                Lane::Data);
    auto next = worker.take<RunStep>();
    worker.feed(done_with(*next));
    worker.tick(std::chrono::milliseconds(80));
  }
  CHECK(worker.count_sent<Ping>() == 0);
  REQUIRE(worker.count_sent<LinkReport>() == 1);
  CHECK(worker.sent<LinkReport>()->links.empty());
  worker.hear(middle_step(90, 89, 1), kBefore, Lane::Data);
  ask(true);
  CHECK(worker.sent<Ping>());
}

TEST_CASE("a refusal ends the process, a farewell does not: layers stay, and the hub is greeted again") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.hear(Goodbye{"the coordinator stopped"});
  worker.tick(std::chrono::seconds(1));
  CHECK(worker.commands.empty());  // no beat for nobody
  CHECK(worker.state.active);
  worker.feed(NetworkEvent(PeerDown{kHub, Lane::Control, true}));
  worker.feed(NetworkEvent(PeerUp{kHub, Lane::Control}));
  CHECK(worker.sent<Hello>()->epoch == kEpoch);
  CHECK(worker.count<Exit>() == 0);
  worker.hear(Refused{"the name is taken"});
  CHECK(worker.take<Exit>()->reason.find("the name is taken") != std::string::npos);
}

TEST_CASE("a worker whose key the hub's control lane refuses joins again") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  worker.feed(NetworkEvent(PeerDown{kHub, Lane::Control, false, "the connection broke"}));
  worker.feed(NetworkEvent(PeerDown{kHub, Lane::Data, false, "it refused our key", true}));
  CHECK(worker.count<JoinAgain>() == 0);
  worker.feed(NetworkEvent(PeerDown{kHub, Lane::Control, false, "it refused our key", true}));
  CHECK(worker.count<JoinAgain>() == 1);
}

TEST_CASE("a stage takes no more sequences than planned, and frees closed ones first") {
  WorkerDriver worker;
  PlanMessage plan = middle_plan();
  plan.max_sequences = 2;
  worker.run_plan(plan);
  const auto take = [&](std::vector<RowGroup> groups) {
    worker.clear();
    worker.hear(frame_of(kEpoch, 1, std::move(groups), width()), kBefore, Lane::Data);
    return worker.count<RunStep>() == 1;
  };
  CHECK_FALSE(take({group_of(1, 1, 0, 1), group_of(2, 1, 0, 1), group_of(3, 1, 0, 1)}));
  CHECK(take({group_of(1, 1, 0, 1), group_of(2, 1, 0, 1)}));
  CHECK_FALSE(take({group_of(3, 1, 0, 1)}));
  const auto refused = worker.sent<StepRefused>();
  REQUIRE(refused);
  CHECK(refused->reason == RefusalReason::OutOfMemory);
  CHECK(refused->detail.find("2 sequences") != std::string::npos);
  CHECK(take({group_of(1, 2, 1, 1), group_of(2, 2, 1, 1)}));  // those that run go on
  CHECK(take({group_of(9, 1, 0, 0, kCloses)}));               // of one unknown: frees nothing
  CHECK_FALSE(take({group_of(9, 2, 0, 0, kCloses), group_of(3, 1, 0, 1)}));
  CHECK(take({group_of(1, 3, 2, 0, kCloses), group_of(3, 1, 0, 1)}));
  CHECK_FALSE(take({group_of(1, 4, 0, 1)}));  // a parked one comes back when there is room
  CHECK(take({group_of(2, 3, 2, 0, kCloses)}));
  CHECK(take({group_of(1, 4, 0, 1)}));
}

TEST_CASE("a plan without stages of its own frees everything") {
  WorkerDriver worker;
  worker.run_plan(middle_plan());
  PlanMessage without{.epoch = make_epoch(1, 2), .config = middle_plan().config};
  worker.hear(without);
  CHECK(worker.take<CheckStore>()->tensors.empty());
  worker.feed(StoreChecked{.epoch = without.epoch, .missing = {}});
  CHECK(worker.sent<StageStatus>()->state == StageState::Ready);
  worker.hear(Activate{without.epoch});
  const auto open = worker.take<OpenStages>();
  REQUIRE(open);
  CHECK(open->plan.stages.empty());
  CHECK(worker.state.log.held_bytes() == 0);
  worker.hear(middle_step(1, 0, 3, without.epoch), kBefore, Lane::Data);
  CHECK(worker.count<RunStep>() == 0);
}

TEST_CASE("a plan that makes no sense is failed, not followed") {
  WorkerDriver worker;
  PlanMessage plan = middle_plan();
  SUBCASE("no config") { plan.config.resize(3); }
  SUBCASE("an impossible tensor") { plan.tensors.front().rows = 0; }
  SUBCASE("a type of a newer Shoal") { plan.tensors.front().type = 77; }
  SUBCASE("stages beyond the model") { plan.stages.back().units.end = 60000; }
  worker.hear(plan);
  CHECK(worker.count<CheckStore>() == 0);
  const auto failed = worker.sent<StageStatus>();
  REQUIRE(failed);
  CHECK(failed->state == StageState::Failed);
  CHECK(failed->epoch == kEpoch);
  CHECK_FALSE(failed->reason.empty());
}

TEST_CASE("neighbours are connected once, and forgotten when no plan has named them for a while") {
  WorkerDriver worker;
  PlanMessage plan = middle_plan();
  const PeerAddress before{kBefore, "tcp://127.0.0.1:4001", std::string(40, 'a')};
  const PeerAddress after{kAfter, "tcp://127.0.0.1:4002", std::string(40, 'b')};
  plan.peers = {before, after};
  worker.run_plan(plan);
  worker.hear(ProbeLinks{{before, after, {DeviceId{4}, "tcp://127.0.0.1:4003", std::string(40, 'c')}}});
  CHECK(worker.count<ConnectPeer>() == 1);  // the new one
  worker.feed(NetworkEvent(PeerDown{kAfter, Lane::Data, true}));
  CHECK(worker.sent<PeerUnreachable>()->device == kAfter);
  PlanMessage next = middle_plan(make_epoch(1, 2));
  next.peers = {after};
  SUBCASE("not while a measurement may be under way") {
    worker.run_plan(next);
    CHECK(worker.state.peers.size() == 3);
  }
  SUBCASE("but later") {
    worker.advance(std::chrono::minutes(2));
    worker.clear();
    worker.hear(next);
    worker.feed(StoreChecked{.epoch = next.epoch, .missing = {}});
    worker.hear(Activate{next.epoch});
    CHECK(worker.count<RevokePeer>() == 2);
    CHECK(worker.count<DisconnectPeer>() == 2);
    CHECK(worker.state.peers.size() == 1);
    CHECK(worker.state.peers.contains(kAfter));
  }
}

TEST_CASE("pings are answered, without the bytes that came with them") {
  WorkerDriver worker;
  Ping ping{.nonce = 5, .from = kBefore};
  ping.payload.push_back(Payload::owning(std::vector<std::byte>(100)));
  worker.hear(std::move(ping), kBefore, Lane::Data);
  DeviceId to{};
  const auto pong = worker.sent<Pong>(&to);
  REQUIRE(pong);
  CHECK(to == kBefore);
  CHECK(pong->nonce == 5);
  CHECK(pong->payload.empty());
}

}  // namespace shoal
