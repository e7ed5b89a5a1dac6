#include <doctest/doctest.h>

#include <numeric>

#include "model/score.h"
#include "simulation/sim_cluster.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

std::vector<SimDevice> devices(std::size_t count) {
  std::vector<SimDevice> list;
  for (std::size_t i = 0; i < count; ++i) list.push_back({.name = "device-" + std::to_string(i + 1)});
  return list;
}

SimClusterOptions options_for(const TinyModel& model, std::size_t num_devices, std::uint64_t seed = 1) {
  SimClusterOptions options;
  options.model_path = model.path();
  options.devices = devices(num_devices);
  options.settings.min_stages = static_cast<std::uint32_t>(num_devices);
  options.settings.max_context = 512;
  options.settings.kv_positions = 2048;
  options.settings.scheduler.prefill_chunk = 16;
  options.seed = seed;
  return options;
}

std::unique_ptr<SimCluster> serving(SimClusterOptions options) {
  Result<std::unique_ptr<SimCluster>> cluster = SimCluster::open(std::move(options));
  REQUIRE_MESSAGE(cluster.has_value(), cluster.error().message());
  REQUIRE((*cluster)->run_until_serving());
  return *std::move(cluster);
}

std::vector<TokenId> some_prompt(std::size_t size, TokenId first = 3) {
  std::vector<TokenId> prompt(size);
  for (std::size_t i = 0; i < size; ++i)
    prompt[i] = static_cast<TokenId>((first + 37 * static_cast<TokenId>(i)) % 590);
  return prompt;
}

InferenceRequest request_of(std::vector<TokenId> prompt, std::uint32_t max_tokens, float temperature = 0.9f,
                            std::uint64_t seed = 7) {
  InferenceRequest request;
  request.prompt = std::move(prompt);
  request.max_tokens = max_tokens;
  request.has_seed = true;
  request.sampling.temperature = temperature;
  request.sampling.seed = seed;
  return request;
}

// What one device alone would say.
std::vector<TokenId> whole_model_answer(const TinyModel& model, const InferenceRequest& request,
                                        KvType kv_type = KvType::F16) {
  Result<WholeModel> whole = WholeModel::open(model.path(), *runnable_kernels().back(), 1, 512, 64, kv_type);
  REQUIRE(whole.has_value());
  const Result<std::vector<ChosenToken>> choices =
      whole->generate(request.prompt, request.sampling, request.max_tokens);
  REQUIRE(choices.has_value());
  std::vector<TokenId> ids;
  for (const ChosenToken& choice : *choices) ids.push_back(choice.id);
  return ids;
}

}  // namespace

TEST_CASE("a request over any number of devices gives the whole model's tokens") {
  const TinyModel model{7};
  const InferenceRequest request = request_of(some_prompt(40), 24);
  const std::vector<TokenId> expected = whole_model_answer(model, request);
  for (const std::size_t num_devices : {1, 2, 3, 5}) {
    CAPTURE(num_devices);
    const std::unique_ptr<SimCluster> cluster = serving(options_for(model, num_devices));
    CHECK(cluster->num_plan_stages() >= num_devices);
    const RequestId id = cluster->submit(request);
    REQUIRE(cluster->run_until([&] { return cluster->answer(id).finished || cluster->answer(id).failed; }));
    CHECK(cluster->answer(id).error == "");
    CHECK(cluster->answer(id).tokens == expected);
  }
}

TEST_CASE("losing a device mid-decode changes the plan and not the text") {
  const TinyModel model{7};
  const InferenceRequest request = request_of(some_prompt(40), 24);
  const std::vector<TokenId> expected = whole_model_answer(model, request);
  for (const std::uint32_t victim : {1u, 2u, 3u, 4u}) {
    CAPTURE(victim);
    const std::unique_ptr<SimCluster> cluster = serving(options_for(model, 4, 11));
    const RequestId id = cluster->submit(request);
    REQUIRE(cluster->run_until([&] { return cluster->answer(id).tokens.size() >= 5; }));
    const Epoch before = cluster->hub().active->epoch;
    cluster->kill(DeviceId{victim});
    REQUIRE(cluster->run_until([&] { return cluster->answer(id).finished || cluster->answer(id).failed; }));
    CHECK(cluster->answer(id).error == "");
    CHECK(cluster->answer(id).tokens == expected);
    CHECK(raw(cluster->hub().active->epoch) > raw(before));
  }
}

TEST_CASE("with keys and values in q8 a cluster gives the whole model's tokens in q8, over a loss too") {
  const TinyModel model{7};
  const InferenceRequest request = request_of(some_prompt(40), 24, /*temperature=*/2.5f);
  const std::vector<TokenId> expected = whole_model_answer(model, request, KvType::Q8);
  CHECK(expected != whole_model_answer(model, request));
  SimClusterOptions options = options_for(model, 3, 11);
  options.settings.kv_type = KvType::Q8;
  const std::unique_ptr<SimCluster> cluster = serving(std::move(options));
  const RequestId id = cluster->submit(request);
  REQUIRE(cluster->run_until([&] { return cluster->answer(id).tokens.size() >= 5; }));
  cluster->kill(DeviceId{2});
  REQUIRE(cluster->run_until([&] { return cluster->answer(id).finished || cluster->answer(id).failed; }));
  CHECK(cluster->answer(id).error == "");
  CHECK(cluster->answer(id).tokens == expected);
}

}  // namespace shoal
