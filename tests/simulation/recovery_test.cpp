#include <doctest/doctest.h>

#include "coordinator/broken_links.h"
#include "tests/simulation/one_request_run.h"

namespace shoal {
namespace {
using std::chrono::milliseconds;
}  // namespace

TEST_CASE("a device that was frozen comes back when it thaws, and the text goes on") {
  const TinyModel model{7};
  for (const Duration length : {Duration(milliseconds(700)), Duration(std::chrono::seconds(8))}) {
    Run run(model, slow_devices(model, 2, 1));
    run.ask_and_wait_for(5);
    const DeviceId victim = run.device_of(0);
    run.cluster->world().freeze(victim);
    run.cluster->run_for(length);
    run.cluster->world().thaw(victim);
    CHECK(run.end() == "");
    REQUIRE(run.cluster->run_until(
        [&] { return run.cluster->hub().members.at(victim).online && run.cluster->num_plan_stages() >= 2; }));
  }
}

TEST_CASE("a cable that was out for three and a half seconds does not cost its device the membership") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 3, 2));
  run.ask_and_wait_for(5);
  const DeviceId victim = run.device_of(1);
  run.cluster->world().unplug(victim);
  run.cluster->run_for(milliseconds(3500));  // lost by its silence, its connections still stand
  CHECK_FALSE(run.cluster->hub().members.at(victim).online);
  run.cluster->world().plug_in(victim);
  CHECK(run.end() == "");
  CHECK(run.cluster->run_until([&] { return run.cluster->hub().members.at(victim).online; },
                               std::chrono::seconds(5)));
}

TEST_CASE("a link between two workers that is cut for good is planned around") {
  const TinyModel model{7};
  for (const bool one_way : {true, false}) {
    CAPTURE(one_way);
    Run run(model, slow_devices(model, 3, 3));
    run.ask_and_wait_for(5);
    const DeviceId a = run.device_of(0);
    const DeviceId b = run.device_of(1);
    if (one_way)
      run.cluster->world().cut_one_way(a, b);
    else
      run.cluster->world().cut(a, b);
    CHECK(run.end() == "");
    CHECK(broken_link_in(run.cluster->hub(), *run.cluster->hub().active) == "");
    CHECK(is_broken(run.cluster->hub(), a, b));
    run.cluster->world().heal(a, b);
    CHECK(run.cluster->run_until([&] { return run.cluster->hub().broken_links.empty(); },
                                 std::chrono::seconds(60)));
  }
}

TEST_CASE("with only two devices and no link between them one of them serves alone") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 2, 4));
  run.ask_and_wait_for(5);
  run.cluster->world().cut(DeviceId{1}, DeviceId{2});
  CHECK(run.end() == "");
  CHECK(run.cluster->num_plan_stages() == 1);
}

TEST_CASE("a bad frame between two workers cuts that link off and nothing else") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 3, 5));
  run.ask_and_wait_for(5);
  run.cluster->world().set_faults(run.device_of(0), run.device_of(1), {.corrupt = 1});
  CHECK(run.end() == "");
  for (const auto& [id, member] : run.cluster->hub().members) CHECK_FALSE(member.revoked);
}

TEST_CASE("two devices lost at once are survived") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 4, 6));
  run.ask_and_wait_for(10);
  const DeviceId a = run.device_of(0);
  const DeviceId b = run.device_of(1);
  run.cluster->kill(a);
  run.cluster->kill(b);
  CHECK(run.end() == "");
}

TEST_CASE("a device that dies while it loads for the repair is repaired around") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 4, 7));
  run.ask_and_wait_for(10);
  run.cluster->kill(run.device_of(1));
  REQUIRE(run.cluster->run_until([&] { return run.cluster->hub().pending.has_value(); }));
  run.cluster->kill(run.cluster->hub().pending->device_of(0));
  CHECK(run.end() == "");
}

TEST_CASE("requests wait for the only device left that is just being measured") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 2, 8));
  run.ask_and_wait_for(5);
  run.cluster->kill(DeviceId{1});
  run.cluster->start(DeviceId{1});
  run.cluster->run_for(milliseconds(100));
  run.cluster->kill(DeviceId{2});
  CHECK(run.end() == "");
}

namespace {

// What one device needs that holds the whole model.
std::uint64_t whole_model_bytes(SimClusterOptions options) {
  options.devices.resize(1);
  const std::unique_ptr<SimCluster> alone = serving_cluster(std::move(options));
  return alone->hub().active->plan.prediction.memory_bytes.front();
}

}  // namespace

TEST_CASE(
    "when the survivors cannot hold the model requests fail with the reason, and service returns when a "
    "device joins") {
  const TinyModel model{7};
  SimClusterOptions options = slow_devices(model, 3, 9);
  options.settings.min_stages = 1;
  options.settings.log_bytes = 1 << 20;
  options.settings.kv_positions = kSimContext;
  options.settings.max_sequences = 4;
  const std::uint64_t whole = whole_model_bytes(options);
  for (SimDevice& device : options.devices) device.memory_bytes = whole - 1;  // so two are needed
  options.devices.push_back(options.devices.front());
  options.devices.back().name = "spare";
  options.devices.back().is_present = false;
  Run run(model, options);
  run.ask_and_wait_for(5);
  run.cluster->kill(DeviceId{1});
  run.cluster->kill(DeviceId{2});
  REQUIRE(run.cluster->run_until([&] { return has_ended(run.cluster->events_of(run.id)); },
                                 std::chrono::seconds(60)));
  CHECK(run.cluster->answer(run.id).failed);
  CHECK(run.cluster->answer(run.id).error.find("cannot hold the model") != std::string::npos);
  CHECK(run.cluster->hub().phase == Phase::InsufficientMemory);
  const RequestId refused = run.cluster->submit(run.judged.request);
  CHECK(run.cluster->answer(refused).failed);
  CHECK(run.cluster->answer(refused).error.find("too little memory for the model") != std::string::npos);
  run.cluster->start(DeviceId{4});
  REQUIRE(run.cluster->run_until_serving());
  run.ask_and_wait_for(1);
  CHECK(run.end() == "");
}

TEST_CASE("weights that a device has on disk are not sent again") {
  const TinyModel model{7};
  Run run(model, slow_devices(model, 2, 10));
  const std::uint64_t once = run.cluster->shard_bytes_sent();
  CHECK(once > 0);
  run.ask_and_wait_for(5);
  run.cluster->kill(DeviceId{1});
  REQUIRE(run.end() == "");
  const std::uint64_t after_loss = run.cluster->shard_bytes_sent();
  CHECK(after_loss > once);  // the survivor lacked what the other held
  run.cluster->start(DeviceId{1});
  REQUIRE(run.cluster->run_until([&] { return run.cluster->num_plan_stages() >= 2; }));
  run.cluster->run_for(std::chrono::seconds(2));
  CHECK(run.cluster->shard_bytes_sent() == after_loss);
}

TEST_CASE("a device that joins while others serve is taken in without a token lost") {
  const TinyModel model{7};
  SimClusterOptions options = slow_devices(model, 3, 11);
  options.devices[2].is_present = false;
  options.devices[0].seconds_per_unit_row = options.devices[1].seconds_per_unit_row = 20e-3;
  options.settings.min_stages = 2;
  Run run(model, options);
  run.ask_and_wait_for(2);
  const Epoch before = run.cluster->hub().active->epoch;
  run.cluster->start(DeviceId{3});
  REQUIRE(run.cluster->run_until([&] { return run.cluster->hub().active->epoch != before; },
                                 std::chrono::seconds(30)));
  CHECK(run.cluster->hub().active->uses(DeviceId{3}));
  CHECK(run.end(std::chrono::seconds(600)) == "");
}

TEST_CASE("a device without a part, whose disk is slow, takes up every plan and frees what it held") {
  const TinyModel model{7};
  SimClusterOptions options = slow_devices(model, 3, 12);
  options.settings.min_stages = 2;
  options.devices[2].seconds_per_unit_row = 30e-3;  // never worth a stage
  options.devices[2].disk_seconds = 1.5;            // it is ready long after the others serve
  Run run(model, options);
  run.ask_and_wait_for(5);
  const DeviceId left_out{3};
  REQUIRE_FALSE(run.cluster->hub().active->uses(left_out));
  const auto has_taken_it_up = [&] {
    const WorkerState& worker = run.cluster->worker(left_out);
    return worker.active && worker.active->plan.epoch == run.cluster->hub().active->epoch && !worker.pending;
  };
  REQUIRE_FALSE(has_taken_it_up());
  CHECK(run.cluster->run_until(has_taken_it_up, std::chrono::seconds(10)));
  CHECK(run.end() == "");
}

}  // namespace shoal
