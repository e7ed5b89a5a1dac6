#include <doctest/doctest.h>

#include "coordinator/plan_builder.h"
#include "tests/coordinator/plan_fixture.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

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
