#include <doctest/doctest.h>

#include "kernels/panels.h"
#include "tests/coordinator/hub_fixture.h"
#include "transport/limits.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

std::string join_reason(ScriptedHub& hub, JoinRequest request) {
  hub.feed(NetworkEvent(JoinReceived{99, std::move(request)}));
  const AnswerJoin* reply = hub.told<AnswerJoin>().back();
  return reply->reply.admitted ? "" : reply->reply.reason;
}

Member& member(ScriptedHub& hub, DeviceId device) { return hub.state->members.at(device); }

// Until the hub calls this device lost.
Duration time_to_lose(ScriptedHub& hub, DeviceId device) {
  const Time since = hub.now;
  while (member(hub, device).online && hub.now - since < std::chrono::seconds(10)) hub.run_for(kTick);
  return hub.now - since;
}

}  // namespace

TEST_CASE("a worker that joins is admitted, remembered and told the hub's ports") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  CHECK(device == DeviceId{1});
  const JoinReply& reply = hub.told<AnswerJoin>().back()->reply;
  CHECK(reply.control_port == 7172);
  CHECK(reply.data_port == 7173);
  CHECK(reply.bulk_port == 7174);
  CHECK(hub.told<AdmitPeer>().size() == 1);
  CHECK(hub.told<RememberDevice>().size() == 1);
  CHECK(hub.sent_to<Welcome>(device).size() == 1);
  CHECK(hub.told<ConnectPeer>().size() == 1);
  CHECK(member(hub, device).online);
  CHECK(join_reason(hub, {.public_key = scripted_key(1), .name = "cam-1"}) == "");  // again, after a restart
  CHECK(hub.state->members.size() == 1);
}

TEST_CASE("a worker of another protocol, a name in use and a revoked key are turned away with the reason") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  CHECK(
      join_reason(hub, {.protocol_version = kProtocolVersion + 1, .public_key = scripted_key(8), .name = "x"})
          .find("upgrade") != std::string::npos);
  // Version 2 knew nothing of KV types: its worker would keep f16 whatever the plan says.
  CHECK(join_reason(hub, {.protocol_version = 2, .public_key = scripted_key(8), .name = "x"}) ==
        "the worker speaks protocol version 2 and this hub version 3: upgrade the older one");
  CHECK(join_reason(hub, {.public_key = scripted_key(8), .name = "cam-1"}).find("--name") !=
        std::string::npos);
  CHECK(hub.state->members.size() == 1);
  hub.feed(NetworkEvent(Malformed{device, Lane::Control, "nonsense"}));
  CHECK_FALSE(member(hub, device).online);
  REQUIRE(hub.told<RevokePeer>().size() == 1);
  const std::vector<const Refused*> why = hub.sent_to<Refused>(device);
  REQUIRE(why.size() == 1);  // the cut comes a moment after the revocation: it may still read why
  CHECK(why.front()->reason.find("nonsense") != std::string::npos);
  const auto is_refusal = [](const ClusterCommand& command) {
    const auto* send = std::get_if<SendMessage>(&command);
    return send && std::holds_alternative<Refused>(send->message);
  };
  const auto is_revocation = [](const ClusterCommand& c) { return std::holds_alternative<RevokePeer>(c); };
  CHECK(std::ranges::find_if(hub.commands, is_refusal) < std::ranges::find_if(hub.commands, is_revocation));
  CHECK(hub.told<RememberDevice>().back()->revoked);
  CHECK(join_reason(hub, {.public_key = scripted_key(1), .name = "cam-1"}).find("revoked") !=
        std::string::npos);
  CHECK(join_reason(hub, {.public_key = scripted_key(8), .name = "cam-1"}) == "");  // the name is free again
}

TEST_CASE("what a revoked device still says is not heard") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  hub.feed(NetworkEvent(Malformed{device, Lane::Data, "nonsense"}));
  hub.from(device, hub.hello_of(device));
  hub.from(device, Beat{});
  CHECK_FALSE(member(hub, device).online);
}

TEST_CASE("a hello that cannot work is refused so that the worker can say why") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  Hello other = hub.hello_of(device);
  SUBCASE("protocol") { other.protocol_version += 1; }
  SUBCASE("panel layout") { other.panel_layout_version = kPanelLayoutVersion + 1; }
  hub.from(device, other);
  REQUIRE(hub.sent_to<Refused>(device).size() == 1);
  CHECK(hub.sent_to<Refused>(device).back()->reason.find("upgrade the older one") != std::string::npos);
}

TEST_CASE("a device with other arithmetic is excluded, unless it is allowed") {
  for (const bool allowed : {false, true}) {
    ClusterSettings settings;
    settings.allow_inexact = allowed;
    ScriptedHub hub(tiny(), settings);
    const DeviceId device = hub.join("cam-1");
    Hello other = hub.hello_of(device);
    other.arithmetic_digest += 1;
    other.instance += 1;
    hub.say_hello(device, other);
    CHECK(member(hub, device).excluded.empty() == allowed);
    CHECK(hub.serve() == allowed);
  }
}

TEST_CASE("a newer process of the same device takes the older one's place, and the older one is told to go") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  const Hello older = hub.hello_of(device);
  Hello newer = older;
  newer.instance += 1;
  newer.inbox = "tcp://10.0.0.1:4001";
  hub.say_hello(device, newer);
  CHECK(hub.state->devices_lost == 1);
  CHECK(member(hub, device).online);
  CHECK(hub.told<ConnectPeer>().back()->endpoint == newer.inbox);
  hub.from(device, older);
  CHECK(hub.sent_to<Refused>(device).size() == 1);
  CHECK(member(hub, device).hello.instance == newer.instance);
  hub.from(device, newer);
  CHECK(hub.state->devices_lost == 1);
  REQUIRE(hub.serve());
}

TEST_CASE("the same process that reconnects is welcomed and keeps its part") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  const Epoch epoch = hub.state->active->epoch;
  hub.feed(NetworkEvent(PeerDown{device, Lane::Control, false, "broke"}));
  hub.from(device, hub.hello_of(device));
  CHECK(hub.sent_to<Welcome>(device).size() == 2);
  CHECK(hub.state->active->epoch == epoch);
  CHECK(hub.state->phase == Phase::Ready);
}

TEST_CASE(
    "a dead process is lost at once, a silent one within three seconds, and a beat brings the silent one "
    "back") {
  ScriptedHub hub(tiny());
  const DeviceId dead = hub.join("cam-1");
  const DeviceId silent = hub.join("cam-2");
  REQUIRE(hub.serve());
  hub.run_for(std::chrono::seconds(4));
  hub.silence(dead);
  hub.feed(NetworkEvent(PeerDown{dead, Lane::Control, true, "refused"}));
  CHECK_FALSE(member(hub, dead).online);
  hub.silence(silent);
  hub.run_for(std::chrono::seconds(3));
  CHECK_FALSE(member(hub, silent).online);
  CHECK(hub.state->phase != Phase::Ready);
  hub.from(dead, Beat{});  // late words of a dead process
  CHECK_FALSE(member(hub, dead).online);
  hub.unsilence(silent);
  hub.from(silent, Beat{});
  CHECK(member(hub, silent).online);
  CHECK(hub.serve());
}

TEST_CASE("a device whose compute stands still is left out for a while") {
  ScriptedHub hub(tiny());
  const DeviceId stuck = hub.join("cam-1");
  const DeviceId other = hub.join("cam-2");
  REQUIRE(hub.serve());
  const DeviceId victim = hub.state->active->device_of(0);
  const DeviceId rest = victim == stuck ? other : stuck;
  hub.silence(victim);
  for (int i = 0; i < 230; ++i) {
    hub.from(victim, Beat{.finished_work = 5, .busy = 1});
    hub.run_for(milliseconds(100));
  }
  CHECK(hub.state->phase == Phase::Ready);
  CHECK_FALSE(hub.state->active->uses(victim));
  CHECK(hub.state->active->uses(rest));
}

TEST_CASE("a device that does not measure itself does not keep the others waiting for ever") {
  ScriptedHub hub(tiny());
  const DeviceId mute = hub.join("cam-1");
  hub.stop_measuring(mute);
  const DeviceId other = hub.join("cam-2");
  while (hub.sent_to<ProbeLinks>(other).empty() && hub.now < Time{std::chrono::seconds(100)})
    hub.run_for(kTick);
  CHECK(hub.now < Time{std::chrono::seconds(65)});
  CHECK(hub.sent_to<ProfileRequest>(mute).size() == 1);  // the others have their turn first
  CHECK(hub.serve());
  hub.run_for(std::chrono::seconds(5));
  CHECK(hub.sent_to<ProfileRequest>(mute).size() == 2);
  hub.silence(other);
  hub.run_for(std::chrono::seconds(4));
  hub.unsilence(other);
  CHECK(hub.state->phase != Phase::Ready);
  CHECK(hub.serve());  // meanwhile
  CHECK(hub.sent_to<ProfileRequest>(mute).size() == 2);
  hub.run_for(std::chrono::seconds(130), milliseconds(500));
  CHECK(hub.sent_to<ProfileRequest>(mute).size() == 3);
  CHECK(member(hub, mute).excluded == "it did not answer the request to measure itself");
}

TEST_CASE("a request to measure that was lost with its connection is sent again") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  hub.silence(device);  // its messages are lost
  hub.run_for(milliseconds(500));
  hub.unsilence(device);
  hub.from(device, hub.hello_of(device));
  CHECK(hub.serve());
}

TEST_CASE("measurements of an earlier run count while kernels and threads are the same") {
  ScriptedHub first(tiny());
  first.join("cam-1");
  REQUIRE(first.serve());
  REQUIRE(first.told<RememberProfile>().size() == 1);
  for (const bool same : {true, false}) {
    ScriptedHub second(tiny());
    RememberProfile profile = *first.told<RememberProfile>().front();
    if (!same) profile.num_threads += 1;
    restore_member(*second.state, {DeviceId{1}, "cam-1", scripted_key(1), false}, {profile}, second.commands);
    CHECK(second.told<AdmitPeer>().size() == 1);
    const DeviceId device = second.join("cam-1");
    CHECK(device == DeviceId{1});
    REQUIRE(second.serve());
    CHECK(second.sent_to<ProfileRequest>(device).size() == (same ? 0u : 1u));
  }
}

TEST_CASE("a hub that was asleep calls nobody silent, and finds who is silent then as fast as ever") {
  ScriptedHub hub(tiny());
  const DeviceId good = hub.join("cam-1");
  const DeviceId bad = hub.join("cam-2");
  REQUIRE(hub.serve());
  hub.run_for(std::chrono::seconds(4));
  hub.now += std::chrono::seconds(5);
  SUBCASE("its tick comes before it has read a word") {
    hub.feed(ClusterTick{});
    hub.run_for(milliseconds(50), milliseconds(1000));
  }
  SUBCASE("one device's words are read first") { hub.from(good, Beat{}); }
  SUBCASE("a client comes first") { hub.feed(CancelRequest{1}); }
  hub.feed(ClusterTick{});
  CHECK(hub.state->devices_lost == 0);
  hub.silence(bad);
  const Duration took = time_to_lose(hub, bad);
  CHECK(took >= milliseconds(700));
  CHECK(took <= SilenceDetector::kFloor + milliseconds(100));
  CHECK(member(hub, good).online);
}

TEST_CASE("a hub that is starved of its processor for good still finds a silent device") {
  ScriptedHub hub(tiny());
  const DeviceId good = hub.join("cam-1");
  const DeviceId bad = hub.join("cam-2");
  REQUIRE(hub.serve());
  hub.run_for(std::chrono::seconds(4));
  int naps = 0;
  for (; member(hub, bad).online && naps < 100; ++naps) {
    hub.now += milliseconds(800);
    hub.from(good, Beat{});
    hub.feed(ClusterTick{});
  }
  CHECK(naps >= 5);
  CHECK(naps <= 30);
  CHECK(member(hub, good).online);
}

TEST_CASE("compute does not stand still while the hub sleeps") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.from(device, Beat{.finished_work = 5, .busy = 1});
  hub.now += std::chrono::seconds(60);
  hub.feed(ClusterTick{});
  CHECK(hub.state->devices_lost == 0);
}

TEST_CASE("a hub that slept repeats no step for it") {
  ScriptedHub hub(tiny());
  const DeviceId device = hub.join("cam-1");
  REQUIRE(hub.serve());
  hub.feed(SubmitRequest{1, InferenceRequest{.prompt = {1, 2, 3}, .max_tokens = 5}});
  const std::size_t sent = hub.sent_to<StepFrame>(device).size();
  REQUIRE(sent > 0);
  hub.now += std::chrono::seconds(60);
  hub.feed(ClusterTick{});
  hub.run_for(std::chrono::seconds(1));
  CHECK(hub.sent_to<StepFrame>(device).size() == sent);
  hub.run_for(std::chrono::seconds(10));
  CHECK(hub.sent_to<StepFrame>(device).size() > sent);
}

TEST_CASE("devices that fall silent at once are replaced by one plan that has none of them") {
  ClusterSettings settings;
  settings.min_stages = 3;
  ScriptedHub hub(tiny(), settings);
  for (int i = 1; i <= 3; ++i) hub.join("cam-" + std::to_string(i));
  REQUIRE(hub.serve());
  hub.run_for(std::chrono::seconds(4));
  const std::uint32_t plans = hub.state->plan_version;
  hub.silence(DeviceId{1});
  hub.silence(DeviceId{2});
  hub.run_for(std::chrono::seconds(2));
  CHECK(hub.state->devices_lost == 2);
  CHECK(hub.state->plan_version == plans + 1);
  CHECK(hub.state->phase == Phase::Ready);
}

TEST_CASE("a hello under a name that another device has is refused, one under its own new name is not") {
  ScriptedHub hub(tiny());
  hub.join("cam-1");
  const DeviceId second = hub.join("cam-2");
  Hello renamed = hub.hello_of(second);
  renamed.name = "cam-3";
  hub.from(second, renamed);
  CHECK(hub.sent_to<Refused>(second).empty());
  CHECK(member(hub, second).name == "cam-3");
  renamed.name = "cam-1";
  hub.from(second, renamed);
  REQUIRE(hub.sent_to<Refused>(second).size() == 1);
  CHECK(hub.sent_to<Refused>(second).back()->reason.find("--name") != std::string::npos);
  CHECK(member(hub, second).name == "cam-3");
}

TEST_CASE(
    "when every id was given out, the device that is away for longest gives its up, and no revoked one") {
  ScriptedHub hub(tiny());
  const DeviceId first{5};
  const DeviceId second{9};
  const auto key_of = [&](std::uint32_t id) {
    return id == raw(first)    ? scripted_key(1)
           : id == raw(second) ? scripted_key(2)
                               : "key " + std::to_string(id);
  };
  for (std::uint32_t id = 1; id < kMaxDevices; ++id) {
    const auto device = static_cast<DeviceId>(id);
    const bool is_revoked = device != first && device != second;
    restore_member(*hub.state, {device, "old", key_of(id), is_revoked}, {}, hub.commands);
  }
  for (const DeviceId device : {first, second}) hub.stop_measuring(device);  // so that no plan has them
  REQUIRE(hub.join("cam-1") == first);
  REQUIRE(hub.join("cam-2") == second);
  const std::string full = join_reason(hub, {.public_key = "key of a newcomer", .name = "cam-3"});
  CHECK(full.find("full: it keeps 1023 devices") != std::string::npos);

  hub.feed(NetworkEvent(PeerDown{second, Lane::Control, true, "refused"}));
  hub.run_for(std::chrono::seconds(1));
  hub.feed(NetworkEvent(PeerDown{first, Lane::Control, true, "refused"}));
  CHECK(join_reason(hub, {.public_key = "key of a newcomer", .name = "cam-3"}) == "");
  const JoinReply& reply = hub.told<AnswerJoin>().back()->reply;
  CHECK(reply.device == second);
  CHECK(hub.told<AdmitPeer>().back()->public_key == "key of a newcomer");
  CHECK(hub.told<RememberDevice>().back()->device == second);
  CHECK(hub.told<RememberDevice>().back()->public_key == "key of a newcomer");
  CHECK(member(hub, second).name == "cam-3");
  CHECK_FALSE(member(hub, second).profile);
  CHECK(hub.state->members.size() == kMaxDevices - 1);
  for (const auto& [id, known] : hub.state->members) CHECK(raw(id) < kMaxDevices);
}

}  // namespace shoal
