#include <doctest/doctest.h>

#include "coordinator/broken_links.h"
#include "coordinator/plan_builder.h"
#include "tests/coordinator/hub_fixture.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

ClusterSettings stages(std::uint32_t count) {
  ClusterSettings settings;
  settings.min_stages = count;
  return settings;
}

InferenceRequest some_request() {
  InferenceRequest request;
  request.prompt = {1, 2, 3, 4};
  request.max_tokens = 5;
  request.sampling.temperature = 0;
  return request;
}

std::vector<const FailedEvent*> failures(const ScriptedHub& hub) {
  std::vector<const FailedEvent*> found;
  for (const DeliverEvent* event : hub.told<DeliverEvent>()) {
    if (const auto* failed = std::get_if<FailedEvent>(&event->event)) found.push_back(failed);
  }
  return found;
}

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

// Memory of which two devices hold the model and one does not.
std::uint64_t half_the_model() {
  constexpr std::uint64_t kStep = 64 << 10;
  ClusterSettings settings;
  settings.log_bytes = 0;
  for (std::uint64_t bytes = 14 << 20; bytes < 64 << 20; bytes += kStep) {
    ScriptedHub hub(tiny(), settings);
    hub.join("cam-1", bytes);
    hub.join("cam-2", bytes);
    hub.run_for(std::chrono::seconds(1));
    if (choose_plan(*hub.state, plannable_devices(*hub.state, hub.now), 1)) return bytes;
  }
  return 0;
}

ClusterSettings tight() {
  ClusterSettings settings;
  settings.log_bytes = 0;
  return settings;
}

std::size_t steps_sent_to(const ScriptedHub& hub, DeviceId device) {
  return hub.sent_to<StepFrame>(device).size();
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
  CHECK(failures(hub).back()->message.find("no device has joined") != std::string::npos);
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

TEST_CASE("a pipeline without progress fails its requests at last instead of trying for ever") {
  ScriptedHub hub(tiny());
  hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  for (int i = 0; i < 400 && failures(hub).empty(); ++i) hub.run_for(std::chrono::seconds(1));
  REQUIRE(failures(hub).size() == 1);
  CHECK(failures(hub).back()->api_code == "pipeline_stalled");
  REQUIRE(hub.serve());  // and it is ready for another try
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

TEST_CASE("when the last device is gone, what runs and what comes waits for one and then goes on") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.run_for(std::chrono::seconds(4));
  hub.feed(SubmitRequest{1, some_request()});
  const std::size_t sent = steps_sent_to(hub, device);
  const auto wait = [&] {
    hub.run_for(std::chrono::seconds(8));
    CHECK(hub.state->phase == Phase::Recovering);
    CHECK(hub.state->detail.find("waiting for a device") != std::string::npos);
    hub.feed(SubmitRequest{2, some_request()});
  };
  SUBCASE("it was silent and is heard again") {
    hub.silence(device);
    wait();
    hub.unsilence(device);
  }
  SUBCASE("its process died and is started again") {
    hub.silence(device);
    hub.feed(NetworkEvent(PeerDown{device, Lane::Control, true, "refused"}));
    wait();
    hub.unsilence(device);
    Hello again = hub.hello_of(device);
    again.instance += 1;
    hub.say_hello(device, again);
  }
  SUBCASE("another one joins") {
    hub.silence(device);
    hub.feed(NetworkEvent(PeerDown{device, Lane::Control, true, "refused"}));
    wait();
    hub.join("cam-2");
  }
  REQUIRE(hub.serve());
  CHECK(failures(hub).empty());
  const DeviceId serving = hub.state->active->device_of(0);
  CHECK(steps_sent_to(hub, serving) > (serving == device ? sent : 0));
  CHECK(hub.state->scheduler.counts().running == 2);
}

TEST_CASE("when nobody comes, what waits ends with the reason, and what comes later is refused") {
  ScriptedHub hub(tiny(), stages(2));
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  hub.silence(DeviceId{1});
  hub.silence(DeviceId{2});
  hub.run_for(std::chrono::seconds(3) + milliseconds(200));
  REQUIRE(hub.state->devices_lost == 2);
  hub.run_for(std::chrono::seconds(9));
  CHECK(failures(hub).empty());
  hub.run_for(std::chrono::seconds(2));
  REQUIRE(failures(hub).size() == 1);
  CHECK(failures(hub).back()->code == ErrorCode::Unavailable);
  CHECK(failures(hub).back()->api_code == "service_lost");
  CHECK(failures(hub).back()->message.find("fell silent") != std::string::npos);
  hub.feed(SubmitRequest{2, some_request()});
  REQUIRE(failures(hub).size() == 2);
  CHECK(failures(hub).back()->api_code == "not_ready");
  hub.unsilence(DeviceId{1});
  CHECK(hub.serve());
}

TEST_CASE("a device that comes and goes does not keep requests waiting for ever") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  hub.stop_measuring(device);  // its process never gets as far as to serve
  hub.state->members.at(device).known_profiles.clear();
  const Time since = hub.now;
  Hello hello = hub.hello_of(device);
  while (failures(hub).empty() && hub.now - since < std::chrono::minutes(5)) {
    hub.feed(NetworkEvent(PeerDown{device, Lane::Control, true, "refused"}));
    hub.run_for(std::chrono::seconds(3));
    hello.instance += 1;
    hub.say_hello(device, hello);
    hub.run_for(std::chrono::seconds(3));
  }
  CHECK(failures(hub).size() == 1);
  CHECK(hub.now - since > std::chrono::seconds(30));
  CHECK(hub.now - since < std::chrono::minutes(3));
}

TEST_CASE("when the survivors cannot hold the model, requests end at once with the reason until one joins") {
  const std::uint64_t half = half_the_model();
  REQUIRE(half > 0);
  ScriptedHub hub(tiny(), tight());
  hub.join("cam-1", half);
  hub.run_for(std::chrono::seconds(2));
  CHECK(hub.state->phase == Phase::InsufficientMemory);
  hub.join("cam-2", half);
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  hub.feed(NetworkEvent(PeerDown{DeviceId{2}, Lane::Control, true, "refused"}));
  REQUIRE(failures(hub).size() == 1);
  CHECK(failures(hub).back()->code == ErrorCode::OutOfMemory);
  CHECK(failures(hub).back()->api_code == "insufficient_capacity");
  CHECK(hub.state->phase == Phase::InsufficientMemory);
  hub.feed(SubmitRequest{2, some_request()});
  REQUIRE(failures(hub).size() == 2);
  CHECK(failures(hub).back()->api_code == "insufficient_capacity");
  Hello again = hub.hello_of(DeviceId{2});
  again.instance += 1;
  hub.say_hello(DeviceId{2}, again);
  CHECK(hub.serve());
}

TEST_CASE("a survivor that is silent itself is waited for before requests end for want of memory") {
  ScriptedHub hub(tiny(), tight());
  const std::uint64_t half = half_the_model();
  hub.join("cam-1", half);
  hub.join("cam-2", half);
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  hub.silence(DeviceId{1});
  hub.silence(DeviceId{2});
  hub.run_for(milliseconds(600));
  hub.feed(NetworkEvent(PeerDown{DeviceId{2}, Lane::Control, true, "refused"}));
  CHECK(failures(hub).empty());
  SUBCASE("it is there, and its memory is too small") {
    hub.unsilence(DeviceId{1});
    hub.run_for(milliseconds(500));
    REQUIRE(failures(hub).size() == 1);
    CHECK(failures(hub).back()->api_code == "insufficient_capacity");
  }
  SUBCASE("it is gone as well, and both come back") {
    hub.run_for(std::chrono::seconds(6));
    CHECK(hub.state->devices_lost == 2);
    CHECK(failures(hub).empty());
    hub.unsilence(DeviceId{1});
    hub.unsilence(DeviceId{2});
    Hello again = hub.hello_of(DeviceId{2});
    again.instance += 1;
    hub.say_hello(DeviceId{2}, again);
    CHECK(hub.serve());
    CHECK(failures(hub).empty());
  }
}

TEST_CASE("a broken link that no plan can do without is waited for") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  const std::size_t sent = steps_sent_to(hub, device);
  hub.feed(NetworkEvent(PeerDown{device, Lane::Data, false, "broke"}));
  for (int i = 0; i < 60 && hub.state->phase == Phase::Ready; ++i) hub.run_for(milliseconds(100));
  CHECK(hub.state->phase == Phase::Recovering);
  CHECK(hub.state->detail.find("waiting for a broken link") != std::string::npos);
  REQUIRE(hub.serve());  // the probes come through
  CHECK(failures(hub).empty());
  CHECK(hub.state->broken_links.empty());
  CHECK(steps_sent_to(hub, device) > sent);
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

TEST_CASE("a request under which its device dies again and again ends alone, at the bound") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  Hello again = hub.hello_of(device);
  for (int death = 1; death <= 8; ++death) {
    CHECK(failures(hub).empty());
    hub.feed(NetworkEvent(PeerDown{device, Lane::Control, true, "refused"}));
    again.instance += 1;
    hub.say_hello(device, again);
    REQUIRE(hub.serve());
    if (death == 7) hub.feed(SubmitRequest{2, some_request()});
  }
  REQUIRE(failures(hub).size() == 1);
  CHECK(failures(hub).back()->api_code == "devices_died");
  CHECK(failures(hub).back()->message.find("died 8 times") != std::string::npos);
  CHECK(hub.state->scheduler.counts().running == 1);  // the other one
}

TEST_CASE("a device that is only silent for a while is no death that a request is to blame for") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, some_request()});
  for (int i = 0; i < 10; ++i) {
    hub.silence(device);
    hub.run_for(std::chrono::seconds(4));
    REQUIRE_FALSE(hub.state->members.at(device).online);
    hub.unsilence(device);
    REQUIRE(hub.serve());
  }
  CHECK(failures(hub).empty());
}

}  // namespace shoal
