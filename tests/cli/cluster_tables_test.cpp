#include "cli/cluster_tables.h"

#include <doctest/doctest.h>

namespace shoal {
namespace {

constexpr const char* kCluster = R"({
  "state": "ready", "detail": "", "progress": 1, "epoch": "1.4", "uptime_seconds": 61.5,
  "model": {"id": "smollm2-135m"},
  "devices": [
    {"id": 1, "name": "cam-1", "host": "street", "pid": 10, "state": "serving", "decode_step_seconds": 0.004,
     "memory": {"gives_bytes": 512000000, "resident_bytes": 81000000, "planned_bytes": 90000000}},
    {"id": 2, "name": "cam\u001b[2J", "host": "street", "pid": 11, "state": "loading", "decode_step_seconds": 0,
     "memory": {"gives_bytes": 512000000, "resident_bytes": 1000000},
     "loading": {"state": "loading", "bytes_total": 200, "bytes_present": 50}},
    {"id": 3, "name": "old", "host": "barn", "state": "excluded", "excluded": "its kernels give other bits", "memory": {}}],
  "plan": {"epoch": "1.4", "why": "first plan", "optimal": true, "lower_bound_seconds": 0.01,
    "predicted_seconds_per_token": 0.01, "measured_seconds_per_token": 0.0125, "kv_positions": 8192, "kv_type": "q8",
    "predicted_hop_seconds": [0.0002, 0.0003, 0.0004],
    "stages": [
      {"device": 1, "name": "cam-1", "units": [0, 16], "holds": "embedding + layers 0-14", "predicted_seconds": 0.005,
       "measured_device_step_seconds": 0.004},
      {"device": 2, "name": "cam-2", "units": [16, 32], "holds": "layers 15-29 + head", "predicted_seconds": 0.004}]},
  "next_plan": null, "links": [{"from": 1, "to": 2}],
  "requests": {"running": 2, "queued": 0, "parked": 0, "finished": 7, "failed": 0, "tokens": 300}})";

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("status tells each device's part, memory and speed, predicted beside measured") {
  const Result<std::string> text = render_status(kCluster);
  REQUIRE(text);
  CAPTURE(*text);
  CHECK(holds(*text, "smollm2-135m: ready, epoch 1.4, up 62 s"));
  CHECK(holds(*text, "cam-1"));
  CHECK(holds(*text, "embedding + layers 0-14"));
  CHECK(holds(*text, "81 MB / 90 MB / 512 MB"));
  CHECK(holds(*text, "200.0"));  // predicted: 1 / 5 ms
  CHECK(holds(*text, "250.0"));  // measured: 1 / 4 ms
  CHECK(holds(*text, "KV for 8192 positions in q8"));
  CHECK(holds(*text, "loading 25 %"));
  CHECK(holds(*text, "old is not used: its kernels give other bits"));
  CHECK(holds(*text, "one stream: 100.0 tok/s predicted, 80.0 measured; requests: 2 running"));
  CHECK_FALSE(holds(*text, "\x1b"));
}

TEST_CASE("the plan tells stages, hops, the whole and how good it is known to be") {
  const Result<std::string> text = render_plan(kCluster);
  REQUIRE(text);
  CAPTURE(*text);
  CHECK(holds(*text, "hub     tokens in"));
  CHECK(holds(*text, "0.20 ms"));
  CHECK(holds(*text, "5.00 ms"));
  CHECK(holds(*text, "one token: 10.00 ms predicted (100.0 tok/s), 12.50 ms measured (80.0 tok/s)"));
  CHECK(
      holds(*text, "epoch 1.4: first plan; proven best for what was measured; KV for 8192 positions in q8"));
}

TEST_CASE("a cluster without a plan says what it waits for, and one that loads shows what comes") {
  CHECK(render_plan(R"({"state":"waiting_for_devices","detail":"1 of 3"})").value() ==
        "no plan yet: waiting_for_devices (1 of 3)\n");
  const Result<std::string> next =
      render_plan(R"({"plan":null,"next_plan":{"stages":[],"epoch":"1.5","why":"lost cam-2",
      "optimal":false,"lower_bound_seconds":0.009,"predicted_seconds_per_token":0.01}})");
  REQUIRE(next);
  CHECK(holds(*next, "being loaded now:"));
  CHECK(holds(*next, "at most 10 % from the best there can be"));
}

TEST_CASE("fields of the wrong kind show as unknown and no answer makes it fall over") {
  for (const char* odd :
       {"{}", R"({"devices":3,"plan":{"stages":7,"predicted_hop_seconds":"x"},"requests":[]})",
        R"({"devices":[1,null,"x",{"id":"y","memory":[]}],"plan":{"stages":[0,[],{"device":"z"}]}})",
        R"({"state":1,"detail":{},"epoch":[],"uptime_seconds":"long","model":"m"})"}) {
    CAPTURE(odd);
    CHECK(render_status(odd));
    CHECK(render_plan(odd));
    CHECK(plan_json(odd));
  }
  for (const char* no_object : {"", "[]", "<html>", "3", "{"}) {
    CAPTURE(no_object);
    CHECK_FALSE(render_status(no_object));
    CHECK_FALSE(render_plan(no_object));
    CHECK_FALSE(plan_json(no_object));
  }
}

TEST_CASE("the plan as JSON holds the plan and the links and nothing of the requests") {
  const Result<std::string> text = plan_json(kCluster);
  REQUIRE(text);
  CHECK(holds(*text, R"("epoch":"1.4")"));
  CHECK(holds(*text, R"("links":[{"from":1,"to":2}])"));
  CHECK_FALSE(holds(*text, "requests"));
}

}  // namespace
}  // namespace shoal
