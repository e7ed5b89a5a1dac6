#include <doctest/doctest.h>

#include "tests/simulation/one_request_run.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

InferenceRequest long_prompt() {
  InferenceRequest request;
  for (TokenId i = 0; i < 300; ++i) request.prompt.push_back((5 + 41 * i) % 590);
  request.max_tokens = 10;
  request.ignore_end = request.has_seed = true;
  request.sampling.temperature = 0.9f;
  request.sampling.seed = 12;
  return request;
}

// Several requests on one cluster, each held against the whole model.
struct Crowd {
  Crowd(const TinyModel& model, SimClusterOptions options, std::size_t count)
      : Crowd(std::move(options), judged_requests(model, 23, 6), count) {}

  bool all_ended() {
    return std::ranges::all_of(ids, [&](RequestId id) { return has_ended(cluster->events_of(id)); });
  }
  Crowd(SimClusterOptions options, std::vector<JudgedRequest> judged, std::size_t count)
      : pool(std::move(judged)), cluster(serving_cluster(std::move(options))) {
    for (std::size_t i = 0; i < count; ++i) ids.push_back(cluster->submit(pool[i % pool.size()].request));
  }

  // "" if each got the whole model's answer and left nothing behind.
  std::string fault() {
    (void)cluster->run_until([&] { return all_ended(); }, std::chrono::seconds(120));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::string fault = fault_in(pool[i % pool.size()], cluster->events_of(ids[i]), false);
      if (!fault.empty()) return "request " + std::to_string(i) + ": " + fault;
    }
    (void)cluster->run_until([&] { return leak_in(*cluster).empty(); }, std::chrono::seconds(3));
    return leak_in(*cluster);
  }

  std::vector<JudgedRequest> pool;
  std::unique_ptr<SimCluster> cluster;
  std::vector<RequestId> ids;
};

}  // namespace

TEST_CASE("frames that are under way when the epoch changes are dropped where they arrive") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 3, 21));
  run.judged = judge(model, long_prompt());
  const DeviceId from = run.device_of(0);
  const DeviceId to = run.device_of(1);
  run.cluster->world().set_link(from, to, {.latency = milliseconds(400)});
  run.ask_and_wait_for(0);
  run.cluster->run_for(milliseconds(150));
  REQUIRE(run.cluster->hub().scheduler.counts().steps_in_flight > 1);
  const std::uint64_t before = run.cluster->worker(to).totals.rejected_frames;
  run.cluster->kill(run.device_of(2));
  CHECK(run.end() == "");
  CHECK(run.cluster->worker(to).totals.rejected_frames > before);
}

TEST_CASE("frames that come twice, late or in another order change no bit") {
  const TinyModel model{7};
  Crowd crowd(model, slow_devices(model, 3, 22), 12);
  for (std::uint32_t from = 0; from <= 3; ++from) {
    for (std::uint32_t to = 0; to <= 3; ++to)
      crowd.cluster->world().set_faults(DeviceId{from}, DeviceId{to}, {.duplicate = 0.3, .reorder = 0.2});
  }
  CHECK(crowd.fault() == "");
}

TEST_CASE("steps that get lost are sent again, and stages that took them answer from what they keep") {
  const TinyModel model{7};
  Crowd crowd(model, slow_devices(model, 3, 30), 6);
  for (std::uint32_t from = 0; from <= 3; ++from) {
    for (std::uint32_t to = 0; to <= 3; ++to)
      crowd.cluster->world().set_faults(DeviceId{from}, DeviceId{to}, {.lose = 0.01});
  }
  CHECK(crowd.fault() == "");
  CHECK(crowd.cluster->hub().epochs_restarted == 0);
  CHECK(crowd.cluster->hub().devices_lost == 0);
}

TEST_CASE("candidates that overtake each other on their way to the hub are judged in order") {
  const TinyModel model{7};
  InferenceRequest request = long_prompt();
  request.echo_logprobs = request.digest = true;
  Run run(model, slow_devices(model, 3, 29));
  run.judged = judge(model, std::move(request));
  const DeviceId last = run.device_of(run.cluster->num_plan_stages() - 1);
  run.cluster->world().set_link(last, kHub, {.latency = milliseconds(10)});
  run.cluster->world().set_faults(last, kHub, {.reorder = 0.5});
  run.ask_and_wait_for(0);
  CHECK(run.end() == "");
}

TEST_CASE("a hub that stands still for seconds blames nobody") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 3, 23));
  run.ask_and_wait_for(5);
  run.cluster->world().freeze(kHub);
  run.cluster->run_for(std::chrono::seconds(5));
  run.cluster->world().thaw(kHub);
  CHECK(run.end() == "");
  CHECK(run.cluster->hub().devices_lost == 0);
}

TEST_CASE("a device that has become slow is not a dead one") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 3, 24));
  run.ask_and_wait_for(5);
  run.cluster->set_speed(run.device_of(1), 0.4);
  CHECK(run.end(std::chrono::seconds(600)) == "");
  CHECK(run.cluster->hub().devices_lost == 0);
}

TEST_CASE("sixteen requests in the midst of prompts and answers survive the loss of any device") {
  const TinyModel model{7};
  for (const std::uint32_t victim : {1u, 2u, 3u}) {
    CAPTURE(victim);
    SimClusterOptions options = slow_devices(model, 3, 25);
    options.settings.kv_positions = 16 * kSimContext;
    Crowd crowd(model, options, 16);
    crowd.cluster->run_for(milliseconds(80));
    REQUIRE(crowd.cluster->hub().scheduler.counts().running == 16);
    crowd.cluster->kill(DeviceId{victim});
    CHECK(crowd.fault() == "");
  }
}

TEST_CASE("requests that are parked for lack of KV survive the loss of a device") {
  const TinyModel model{7};
  SimClusterOptions options = slow_devices(model, 3, 26);
  options.settings.kv_positions = kSimContext;
  Crowd crowd(options, {long_answer(model)}, 8);
  REQUIRE(crowd.cluster->run_until([&] { return crowd.cluster->hub().scheduler.counts().parked > 0; }));
  crowd.cluster->kill(DeviceId{2});
  CHECK(crowd.fault() == "");
}

TEST_CASE("a client that leaves during the recovery gets nothing more and holds nothing") {
  const TinyModel model{7};
  Crowd crowd(model, slow_devices(model, 3, 27), 4);
  crowd.cluster->run_for(milliseconds(150));
  crowd.cluster->kill(DeviceId{3});
  REQUIRE(crowd.cluster->run_until([&] { return crowd.cluster->hub().phase == Phase::Recovering; }));
  const RequestId left = crowd.ids.back();
  const std::size_t heard = crowd.cluster->events_of(left).size();
  crowd.cluster->cancel(left);
  crowd.ids.pop_back();
  CHECK(crowd.fault() == "");
  CHECK(crowd.cluster->events_of(left).size() == heard);
}

TEST_CASE("a second device that dies in any moment of the first one's repair is survived") {
  const TinyModel model{7};
  for (const int after : {0, 1, 3, 6, 10, 15, 25, 40}) {
    CAPTURE(after);
    Run run(model, slow_devices(model, 4, 28));
    run.ask_and_wait_for(8);
    const DeviceId first = run.device_of(1);
    const DeviceId second = run.device_of(2);
    run.cluster->kill(first);
    run.cluster->run_for(milliseconds(after));
    run.cluster->kill(second);
    CHECK(run.end() == "");
  }
}

}  // namespace shoal
