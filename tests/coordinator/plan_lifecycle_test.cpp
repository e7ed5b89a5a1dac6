#include <doctest/doctest.h>

#include "coordinator/broken_links.h"
#include "tests/coordinator/plan_fixture.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

// The last stage's answer to a step whose last row is wanted.
CandidatesFrame answer_to(const StepFrame& step) {
  CandidatesFrame answer{.epoch = step.epoch, .pipeline = step.pipeline, .rows = {}, .groups = step.groups};
  const RowGroup& group = step.groups.back();
  CandidateRow row{
      .sequence = group.sequence, .step = group.step, .position = group.first_position + group.num_rows - 1};
  row.raw = {BlockSum{1, 1}};
  row.by_adjusted = row.by_raw = {Candidate{.id = 7, .logit = 1, .adjusted = 1, .noise = 0}};
  answer.rows.push_back(std::move(row));
  return answer;
}

}  // namespace

TEST_CASE("the first plan waits for the devices it expects, but not for ever") {
  ClusterSettings settings;
  settings.expect_devices = 3;
  settings.expect_patience = std::chrono::seconds(10);
  ScriptedHub hub(tiny(), settings);
  hub.join("cam-1");
  hub.join("cam-2");
  hub.run_for(std::chrono::seconds(9));
  CHECK_FALSE(hub.state->active);
  CHECK(hub.state->detail.find("2 of 3") != std::string::npos);
  hub.run_for(std::chrono::seconds(3));
  CHECK(hub.state->phase == Phase::Ready);
}

TEST_CASE("a request before there is a pipeline is refused with the reason") {
  ScriptedHub hub(tiny());
  hub.feed(SubmitRequest{1, some_request()});
  REQUIRE(failures(hub).size() == 1);
  CHECK(failures(hub).back()->api_code == "not_ready");
  CHECK(failures(hub).back()->message ==
        "No answer is possible now: the cluster waits for devices (no device has joined yet).");
}

TEST_CASE("epochs only rise, with the hub's term above") {
  ClusterSettings settings = stages(2);
  settings.term = 9;
  ScriptedHub hub(tiny(), settings);
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const Epoch first = hub.state->active->epoch;
  CHECK(term_of(first) == 9);
  Hello again = hub.hello_of(DeviceId{1});
  again.instance += 1;
  hub.say_hello(DeviceId{1}, again);
  REQUIRE(hub.serve());
  CHECK(raw(hub.state->active->epoch) > raw(first));
}

TEST_CASE("a plan message that got lost is sent again, and a worker that never answers is left out") {
  ScriptedHub hub(tiny(), stages(2));
  hub.join("cam-1");
  hub.join("cam-2");
  hub.answer_plans(false);
  hub.run_for(std::chrono::seconds(2));
  REQUIRE(hub.state->pending);
  const std::size_t once = hub.sent_to<PlanMessage>(DeviceId{1}).size();
  hub.run_for(std::chrono::seconds(8));
  CHECK(hub.sent_to<PlanMessage>(DeviceId{1}).size() > once);
  const Epoch epoch = hub.state->pending->epoch;
  hub.from(DeviceId{2}, StageStatus{.epoch = epoch, .state = StageState::Ready});
  hub.answer_plans(true);
  hub.run_for(std::chrono::seconds(4));
  CHECK(hub.state->phase == Phase::Ready);
}

TEST_CASE("a worker that says nothing of its layers for long is planned without, and tried again later") {
  ScriptedHub hub(tiny(), stages(1));
  hub.join("cam-1");
  hub.join("cam-2");
  hub.answer_plans(false);
  hub.run_for(std::chrono::seconds(2));
  REQUIRE(hub.state->pending);
  const DeviceId mute = hub.state->pending->device_of(0);
  hub.run_for(std::chrono::seconds(30));
  hub.answer_plans(true);
  hub.run_for(std::chrono::seconds(2));
  REQUIRE(hub.state->phase == Phase::Ready);
  CHECK_FALSE(hub.state->active->uses(mute));
}

TEST_CASE("a better plan that cannot be loaded does not end the one that serves") {
  ScriptedHub hub(tiny(), stages(2));
  hub.join("cam-1");
  REQUIRE_FALSE(hub.serve());  // it waits for a second
  hub.join("cam-2");
  REQUIRE(hub.serve());
  hub.feed(NetworkEvent(PeerDown{DeviceId{2}, Lane::Control, true, "refused"}));
  REQUIRE(hub.serve());
  const Epoch serving = hub.state->active->epoch;
  hub.answer_plans(false);
  Hello again = hub.hello_of(DeviceId{2});
  again.instance += 1;
  hub.say_hello(DeviceId{2}, again);
  hub.run_for(std::chrono::seconds(6));
  REQUIRE(hub.state->pending);
  CHECK(hub.state->phase == Phase::Ready);
  hub.from(
      DeviceId{1},
      StageStatus{.epoch = hub.state->pending->epoch, .state = StageState::Failed, .reason = "disk full"});
  CHECK_FALSE(hub.state->pending);
  CHECK(hub.state->phase == Phase::Ready);
  CHECK(hub.state->active_is_whole);
  CHECK(hub.state->active->epoch == serving);
}

TEST_CASE("a stage that fails to open in service is planned elsewhere, and its device rests") {
  ScriptedHub hub(tiny(), stages(1));
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const DeviceId failing = hub.state->active->device_of(0);
  hub.from(
      failing,
      StageStatus{.epoch = hub.state->active->epoch, .state = StageState::Failed, .reason = "no memory"});
  REQUIRE(hub.serve());
  CHECK_FALSE(hub.state->active->uses(failing));
}

TEST_CASE("the only device is tried again after it failed") {
  ScriptedHub hub(tiny());
  hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.from(
      DeviceId{1},
      StageStatus{.epoch = hub.state->active->epoch, .state = StageState::Failed, .reason = "no memory"});
  CHECK(hub.state->phase != Phase::Ready);
  hub.feed(SubmitRequest{5, some_request()});
  REQUIRE(failures(hub).size() == 1);
  CHECK(failures(hub).back()->message.find("no memory") != std::string::npos);
  hub.run_for(std::chrono::seconds(15));
  CHECK(hub.state->phase == Phase::Ready);
}

TEST_CASE("a plan in preparation that a restart of the epoch displaces is looked for again") {
  ScriptedHub hub(tiny(), stages(2));
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  hub.feed(NetworkEvent(PeerDown{DeviceId{2}, Lane::Control, true, "refused"}));
  REQUIRE(hub.serve());
  Hello again = hub.hello_of(DeviceId{2});
  again.instance += 1;
  hub.answer_plans(false);
  hub.say_hello(DeviceId{2}, again);
  hub.run_for(std::chrono::seconds(6));
  REQUIRE(hub.state->pending);
  hub.answer_plans(true);
  hub.feed(SubmitRequest{1, some_request()});
  hub.from(DeviceId{1},
           StepRefused{.epoch = hub.state->active->epoch, .reason = RefusalReason::Lost, .detail = "gone"});
  hub.run_for(std::chrono::seconds(6));
  CHECK(hub.state->phase == Phase::Ready);
  CHECK(hub.state->active->uses(DeviceId{2}));
}

TEST_CASE("plans do not flap while nothing changes") {
  ScriptedHub hub(tiny(), stages(1));
  for (int i = 1; i <= 3; ++i) hub.join("cam-" + std::to_string(i));
  REQUIRE(hub.serve());
  hub.run_for(std::chrono::seconds(10));
  const Epoch epoch = hub.state->active->epoch;
  hub.join("cam-4");  // no better than the others
  hub.run_for(std::chrono::seconds(20));
  CHECK(hub.state->active->epoch == epoch);
  CHECK_FALSE(hub.state->pending);
}

TEST_CASE("a gap is answered by sending again what is unanswered, in the same epoch") {
  ScriptedHub hub(tiny());
  hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  const std::size_t sent = hub.sent_to<StepFrame>(DeviceId{1}).size();
  REQUIRE(sent > 0);
  const Epoch epoch = hub.state->active->epoch;
  hub.from(
      DeviceId{1},
      StepRefused{
          .epoch = epoch, .sequence = SequenceId{1}, .step = StepNumber{2}, .reason = RefusalReason::Gap});
  CHECK(hub.sent_to<StepFrame>(DeviceId{1}).size() == 2 * sent);
  CHECK(hub.state->active->epoch == epoch);
  CHECK(hub.state->epochs_restarted == 0);
}

TEST_CASE("a refusal of an earlier epoch, or from a device without a stage, changes nothing") {
  ScriptedHub hub(tiny(), stages(1));
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const DeviceId idle = hub.state->active->uses(DeviceId{1}) ? DeviceId{2} : DeviceId{1};
  hub.from(idle, StepRefused{.epoch = hub.state->active->epoch, .reason = RefusalReason::Lost});
  hub.from(hub.state->active->device_of(0),
           StepRefused{.epoch = make_epoch(1, 0), .reason = RefusalReason::Lost});
  CHECK(hub.state->epochs_restarted == 0);
}

TEST_CASE("when steps get lost over a link that a neighbour calls unreachable, the plan goes around it") {
  ScriptedHub hub(tiny(), stages(3));
  for (int i = 1; i <= 3; ++i) hub.join("cam-" + std::to_string(i));
  REQUIRE(hub.serve());
  const DeviceId a = hub.state->active->device_of(0);
  const DeviceId b = hub.state->active->device_of(1);
  hub.feed(SubmitRequest{1, some_request()});
  hub.from(a, PeerUnreachable{.epoch = hub.state->active->epoch, .device = b});
  CHECK(hub.state->phase == Phase::Ready);  // advice only
  hub.run_for(std::chrono::seconds(4));
  REQUIRE(hub.serve());
  CHECK(broken_link_in(*hub.state, *hub.state->active) == "");
  CHECK(is_broken(*hub.state, a, b));
  hub.run_for(std::chrono::seconds(40));  // tried again: the probes come through
  CHECK_FALSE(is_broken(*hub.state, a, b));
}

TEST_CASE("a step that was past the break already does not prove the link, one sent later does") {
  ScriptedHub hub(tiny(), stages(2));
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const DeviceId first = hub.state->active->device_of(0);
  const DeviceId last = hub.state->active->device_of(1);
  hub.feed(SubmitRequest{1, some_request()});
  hub.run_for(milliseconds(50));
  const PeerUnreachable lost{.epoch = hub.state->active->epoch, .device = last};
  hub.from(first, lost);
  REQUIRE(is_broken(*hub.state, first, last));
  hub.from(last, answer_to(*hub.sent_to<StepFrame>(first).back()), Lane::Data);
  CHECK(is_broken(*hub.state, first, last));
  hub.from(last, answer_to(*hub.sent_to<StepFrame>(first).back()), Lane::Data);
  CHECK_FALSE(is_broken(*hub.state, first, last));
  CHECK(hub.state->scheduler.counts().tokens == 2);
}

TEST_CASE("a device that is ready after the plan began to serve is told again to take it up, until it has") {
  ScriptedHub hub(tiny());
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const Epoch epoch = hub.state->active->epoch;
  const DeviceId idle = hub.state->active->uses(DeviceId{1}) ? DeviceId{2} : DeviceId{1};
  const std::size_t told = hub.sent_to<Activate>(idle).size();
  const StageStatus ready{.epoch = epoch, .state = StageState::Ready};
  hub.from(idle, ready);
  REQUIRE(hub.sent_to<Activate>(idle).size() == told + 1);
  CHECK(hub.sent_to<Activate>(idle).back()->epoch == epoch);
  hub.from(idle, StageStatus{.epoch = epoch, .state = StageState::Loading});
  CHECK(hub.sent_to<Activate>(idle).size() == told + 1);
  hub.from(idle, Beat{.epoch = epoch});
  hub.from(idle, ready);
  CHECK(hub.sent_to<Activate>(idle).size() == told + 1);
}

}  // namespace shoal
