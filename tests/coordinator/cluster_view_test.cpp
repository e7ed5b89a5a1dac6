#include "coordinator/cluster_view.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "tests/coordinator/hub_fixture.h"

namespace shoal {
namespace {

const TinyModel& tiny() {
  static const TinyModel model{7};
  return model;
}

nlohmann::json view(const ScriptedHub& hub) {
  return nlohmann::json::parse(cluster_json(*hub.state, hub.now));
}

}  // namespace

TEST_CASE("the view of an empty hub is whole and says what it waits for") {
  ScriptedHub hub(tiny());
  const nlohmann::json json = view(hub);
  CHECK(json["state"] == "waiting_for_devices");
  CHECK(json["detail"] == "no device has joined yet");
  CHECK(json["plan"].is_null());
  CHECK(json["epoch"].is_null());
  CHECK(json["devices"].empty());
  CHECK(json["model"]["id"] == "tiny");
  CHECK(json["model"]["layers"] == 6);
  CHECK_FALSE(cluster_health(*hub.state).ready);
}

TEST_CASE("the view of a serving cluster shows devices, plan, links and requests") {
  ClusterSettings settings;
  settings.min_stages = 2;
  ScriptedHub hub(tiny(), settings);
  hub.join("cam-1");
  hub.join("cam-2");
  REQUIRE(hub.serve());
  InferenceRequest request;
  request.prompt = {1, 2, 3};
  request.max_tokens = 4;
  hub.feed(SubmitRequest{1, request});
  const nlohmann::json json = view(hub);
  CHECK(json["state"] == "ready");
  CHECK(json["epoch"] == to_string(hub.state->active->epoch));
  REQUIRE(json["devices"].size() == 2);
  for (const nlohmann::json& device : json["devices"]) {
    CHECK(device["state"] == "serving");
    CHECK(device["units"].size() >= 1);
    CHECK(device["memory"]["planned_bytes"] > 0);
    CHECK(device["kernels"] == "scalar");
  }
  REQUIRE(json["plan"]["stages"].size() >= 2);
  CHECK(json["plan"]["stages"][0]["holds"].get<std::string>().find("embedding") == 0);
  CHECK(json["plan"]["stages"].back()["holds"].get<std::string>().find("head") != std::string::npos);
  CHECK(json["plan"]["predicted_seconds_per_token"] > 0);
  CHECK(json["links"].size() == 6);  // from the hub, to the hub, between the two
  CHECK(json["requests"]["running"] == 1);
  CHECK(json["requests"]["steps_in_flight"] == 1);
  CHECK(cluster_health(*hub.state).ready);
  CHECK(cluster_health(*hub.state).progress == 1);
}

TEST_CASE("the view shows a lost, an excluded and a revoked device as such, and loading as a share") {
  ScriptedHub hub(tiny());
  for (const char* name : {"a", "b", "c", "d"}) hub.join(name);
  hub.answer_plans(false);
  hub.run_for(std::chrono::seconds(2));
  REQUIRE(hub.state->pending);
  const DeviceId loading = hub.state->pending->device_of(0);
  hub.from(loading, StageStatus{.epoch = hub.state->pending->epoch, .bytes_total = 200, .bytes_present = 50});
  CHECK(cluster_health(*hub.state).progress == doctest::Approx(0.25));
  CHECK(view(hub)["next_plan"]["stages"].size() >= 1);
  std::vector<DeviceId> others;
  for (const auto& [id, member] : hub.state->members) {
    if (id != loading) others.push_back(id);
  }
  hub.feed(NetworkEvent(PeerDown{others[0], Lane::Control, true, "refused"}));
  hub.feed(NetworkEvent(Malformed{others[1], Lane::Control, "bytes"}));
  hub.state->members.at(others[2]).excluded = "for \xFF a test";
  const nlohmann::json json = view(hub);
  const auto state_of = [&](DeviceId device) { return json["devices"][raw(device) - 1]["state"]; };
  CHECK(state_of(loading) == "loading");
  CHECK(state_of(others[0]) == "lost");
  CHECK(state_of(others[1]) == "revoked");
  CHECK(state_of(others[2]) == "excluded");
  CHECK(json["recovery"]["devices_lost"] == 2);
}

}  // namespace shoal
