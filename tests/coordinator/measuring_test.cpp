#include <doctest/doctest.h>

#include "coordinator/plan_problem.h"
#include "tests/coordinator/hub_fixture.h"

// What is measured, when, and what is known from before.
namespace shoal {
namespace {

using namespace std::chrono_literals;

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

ClusterSettings split_over(std::uint32_t devices) {
  ClusterSettings settings;
  settings.min_stages = devices;
  return settings;
}

std::size_t pings(const ScriptedHub& hub) {
  return hub.count([](const ClusterCommand& command) {
    const auto* send = std::get_if<SendMessage>(&command);
    return send && std::holds_alternative<Ping>(send->message);
  });
}
std::size_t measurements(const ScriptedHub& hub, std::uint32_t devices) {
  std::size_t count = pings(hub);
  for (std::uint32_t i = 1; i <= devices; ++i)
    count += hub.sent_to<ProfileRequest>(DeviceId{i}).size() + hub.sent_to<ProbeLinks>(DeviceId{i}).size();
  return count;
}

// A hub that was told all that another one wanted to be remembered.
std::unique_ptr<ScriptedHub> restarted(const ScriptedHub& first, ClusterSettings settings) {
  auto second = std::make_unique<ScriptedHub>(tiny(), settings);
  for (const RememberLinks* links : first.told<RememberLinks>()) restore_links(*second->state, *links);
  for (const RememberDevice* device : first.told<RememberDevice>()) {
    std::vector<RememberProfile> own;
    for (const RememberProfile* profile : first.told<RememberProfile>()) {
      if (profile->public_key == device->public_key) own.push_back(*profile);
    }
    restore_member(*second->state, *device, own, second->commands);
  }
  return second;
}

void stream(ScriptedHub& hub) {
  InferenceRequest request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 50;
  hub.feed(SubmitRequest{77, request});  // never answered: a step is under way for good
}

}  // namespace

TEST_CASE("a cluster that is started again serves without measuring anything") {
  ScriptedHub first(tiny(), split_over(3));
  for (int i = 1; i <= 3; ++i) first.join("cam-" + std::to_string(i));
  REQUIRE(first.serve());
  REQUIRE(measurements(first, 3) > 6);

  const auto second = restarted(first, split_over(3));
  for (int i = 1; i <= 3; ++i) second->join("cam-" + std::to_string(i));
  const Time joined = second->now;
  REQUIRE(second->serve());
  CHECK(measurements(*second, 3) == 0);
  CHECK(second->now - joined <= 1s);
  const Result<Prediction> before = predict(first.state->active->problem, first.state->active->plan.stages);
  const Result<Prediction> after =
      predict(second->state->active->problem, second->state->active->plan.stages);
  REQUIRE(before);
  REQUIRE(after);
  CHECK(after->seconds_per_token == doctest::Approx(before->seconds_per_token));
  second->run_for(2min);  // in a quiet moment links are measured again
  CHECK(pings(*second) > 0);
}

TEST_CASE("a device that changed measures itself anew, one that moved has its links measured") {
  ScriptedHub first(tiny(), split_over(2));
  first.join("cam-1");
  first.join("cam-2");
  REQUIRE(first.serve());
  const auto second = restarted(first, split_over(2));
  const DeviceId device = second->join("cam-1");
  Hello hello = second->hello_of(device);
  hello.instance += 1;
  SUBCASE("another processor") { hello.profile_key += 1; }
  SUBCASE("another address") { hello.inbox = "tcp://192.168.7.7:4000"; }
  SUBCASE("another port of the same address") { hello.inbox = "tcp://10.0.0.1:4111"; }
  const bool other_key = hello.profile_key != first.hello_of(device).profile_key;
  const bool other_host = hello.inbox.find("192.168") != std::string::npos;
  second->say_hello(device, hello);
  second->join("cam-2");
  REQUIRE(second->serve());
  CHECK(second->sent_to<ProfileRequest>(device).size() == (other_key ? 1u : 0u));
  CHECK(second->sent_to<ProbeLinks>(device).size() == (other_host ? 1u : 0u));
}

TEST_CASE("links are probed with frames as large as this model's steps") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  REQUIRE_FALSE(hub.sent_to<ProbeLinks>(device).empty());
  const ProbeLinks& probe = *hub.sent_to<ProbeLinks>(device).front();
  const ModelConfig& config = hub.state->model.config;
  CHECK(probe.decode_bytes == decode_frame_bytes(config));
  CHECK(probe.prefill_bytes > hub.state->settings.scheduler.prefill_chunk * config.activation_bytes());
  CHECK_FALSE(probe.urgent);
}

TEST_CASE("links are measured again every now and then, and never while steps flow") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  const std::size_t once = hub.sent_to<ProbeLinks>(device).size();
  hub.run_for(9min);
  CHECK(hub.sent_to<ProbeLinks>(device).size() == once);
  hub.run_for(2min);
  CHECK(hub.sent_to<ProbeLinks>(device).size() == once + 1);
  const std::uint32_t version = hub.state->plan_version;
  stream(hub);
  const std::size_t before = pings(hub);
  // The step is sent again and again; that this hub gives up on it at last is another story.
  hub.run_for(2s);
  hub.state->links_fresh_until = {};
  hub.run_for(5s);
  CHECK(hub.sent_to<ProbeLinks>(device).size() == once + 1);
  CHECK(pings(hub) == before);
  CHECK(hub.state->plan_version == version);
}

TEST_CASE("for a newcomer's links an idle moment is waited for, and made in the end") {
  ScriptedHub hub(tiny());
  const DeviceId first = hub.join("cam-1");
  REQUIRE(hub.serve());
  stream(hub);
  const DeviceId second = hub.join("cam-2");
  hub.run_for(5s);
  CHECK(hub.sent_to<ProfileRequest>(second).size() == 1);  // that is no traffic
  CHECK(hub.sent_to<ProbeLinks>(second).empty());
  SUBCASE("it comes") {
    hub.feed(CancelRequest{77});
    hub.state->scheduler.stop_epoch();  // the step that nobody answers goes with its epoch
    hub.run_for(500ms);
    CHECK(hub.sent_to<ProbeLinks>(second).size() == 1);
    CHECK_FALSE(hub.state->holding);
  }
  SUBCASE("it does not") {
    const std::size_t steps = hub.sent_to<StepFrame>(first).size();
    hub.run_for(7s);
    CHECK(hub.sent_to<ProbeLinks>(second).size() == 1);
    hub.run_for(6s);
    CHECK_FALSE(hub.state->holding);
    CHECK(hub.sent_to<StepFrame>(first).size() >= steps);
    CHECK(hub.state->members.at(second).links_measured);
  }
}

TEST_CASE("a device that no plan uses is measured again, less often while nothing changes") {
  ScriptedHub hub(tiny());
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  const DeviceId used = hub.state->active->device_of(0);
  const DeviceId idle = used == DeviceId{1} ? DeviceId{2} : DeviceId{1};
  hub.run_for(30min);
  const std::size_t asked = hub.sent_to<ProfileRequest>(idle).size();
  CHECK(asked >= 3);
  CHECK(asked <= 5);
  CHECK(hub.sent_to<ProfileRequest>(used).size() == 1);
  Beat hot;
  hot.heat.throttled = true;
  hub.from(idle, hot);
  CHECK(hub.state->phase == Phase::Ready);
}

}  // namespace shoal
