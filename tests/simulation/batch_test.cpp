#include <doctest/doctest.h>

#include "tests/simulation/judged_requests.h"

namespace shoal {
namespace {

// Asks all at once; fails the test unless each gets the whole model's answer.
void check_all(SimCluster& cluster, const std::vector<JudgedRequest>& judged) {
  std::vector<RequestId> ids;
  for (const JudgedRequest& one : judged) ids.push_back(cluster.submit(one.request));
  (void)cluster.run_until(
      [&] {
        return std::ranges::all_of(ids, [&](RequestId id) { return has_ended(cluster.events_of(id)); });
      },
      std::chrono::seconds(120));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    CAPTURE(i);
    CHECK(fault_in(judged[i], cluster.events_of(ids[i]), false) == "");
  }
  (void)cluster.run_until([&] { return leak_in(cluster).empty(); }, std::chrono::seconds(2));
  CHECK(leak_in(cluster) == "");
}

JudgedRequest long_echo(const TinyModel& model) {
  Random random(11);
  InferenceRequest request;
  for (int i = 0; i < 150; ++i)
    request.prompt.push_back(static_cast<TokenId>(random.below(model.config().vocab_size)));
  request.max_tokens = 12;
  request.echo_logprobs = request.digest = request.ignore_end = true;
  request.has_seed = true;
  request.sampling.temperature = 0.8f;
  request.sampling.seed = 99;
  return judge(model, std::move(request));
}

}  // namespace

TEST_CASE("a batch of requests gives each the answer it gets alone, in every architecture") {
  for (const Architecture architecture :
       {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3}) {
    CAPTURE(name_of(architecture));
    const TinyModel model{5, TinyModelOptions::for_architecture(architecture)};
    const auto cluster = serving_cluster(sim_options(model, 3, 2));
    check_all(*cluster, judged_requests(model, 17, 12));
  }
}

TEST_CASE("the chunks of a prefill change no bit") {
  const TinyModel model{7, TinyModelOptions::for_architecture(Architecture::Gemma3)};
  const JudgedRequest judged = long_echo(model);
  for (const std::uint32_t chunk : {1u, 7u, 64u, 512u}) {
    CAPTURE(chunk);
    SimClusterOptions options = sim_options(model, 2, 3);
    options.settings.scheduler.prefill_chunk = options.settings.scheduler.busy_prefill_chunk = chunk;
    const auto cluster = serving_cluster(options);
    check_all(*cluster, {judged});
  }
}

TEST_CASE("the number of devices changes no bit of any logit") {
  const TinyModel model{7};
  const JudgedRequest judged = long_echo(model);
  CHECK(judged.digest.size() == 32);
  for (const std::size_t count : {1, 2, 3, 5}) {
    CAPTURE(count);
    const auto cluster = serving_cluster(sim_options(model, count, 4));
    check_all(*cluster, {judged});
  }
}

TEST_CASE("sixty-four clients at once are all served, over a KV budget that holds a few of them") {
  const TinyModel model{7};
  SimClusterOptions options = sim_options(model, 3, 5);
  options.settings.kv_positions = 1000;
  options.settings.max_sequences = 16;
  const auto cluster = serving_cluster(options);
  const std::vector<JudgedRequest> pool = judged_requests(model, 21, 8);
  std::vector<JudgedRequest> all;
  for (std::size_t i = 0; i < 64; ++i) all.push_back(pool[i % pool.size()]);
  check_all(*cluster, all);
}

TEST_CASE("a client that leaves frees its place within one step") {
  const TinyModel model{7};
  SimClusterOptions options = sim_options(model, 2, 6);
  options.settings.max_sequences = 1;
  const auto cluster = serving_cluster(options);
  InferenceRequest request;
  request.prompt = std::vector<TokenId>(60, 5);
  request.max_tokens = 200;
  request.ignore_end = true;
  const RequestId first = cluster->submit(request);
  const RequestId second = cluster->submit(request);
  REQUIRE(cluster->run_until([&] { return cluster->answer(first).tokens.size() >= 3; }));
  CHECK(cluster->hub().scheduler.counts().queued == 1);
  cluster->cancel(first);
  const std::size_t before = cluster->answer(first).tokens.size();
  REQUIRE(cluster->run_until([&] { return cluster->hub().scheduler.counts().queued == 0; },
                             std::chrono::milliseconds(20)));
  REQUIRE(cluster->run_until([&] { return cluster->answer(second).tokens.size() >= 3; }));
  CHECK(cluster->answer(first).tokens.size() == before);
}

}  // namespace shoal
