#include "tests/simulation/judged_requests.h"

#include <doctest/doctest.h>

#include <bit>

#include "model/score.h"

namespace shoal {
namespace {

std::string word(TokenId id) { return "<" + std::to_string(id) + ">"; }

bool same_bits(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

WholeModel whole_model(const TinyModel& model) {
  Result<WholeModel> whole = WholeModel::open(model.path(), *runnable_kernels().back(), 1, kSimContext, 64);
  REQUIRE(whole.has_value());
  return *std::move(whole);
}

// Ends text and tokens where the first stop string is complete.
void apply_stops(JudgedRequest& judged) {
  std::string text;
  for (std::size_t i = 0; i < judged.tokens.size(); ++i) {
    text += word(judged.tokens[i]);
    std::size_t first = std::string::npos;
    for (const std::string& stop : judged.request.stop) first = std::min(first, text.find(stop));
    if (first == std::string::npos) continue;
    judged.tokens.resize(i + 1);
    judged.logprobs.resize(i + 1);
    judged.text = text.substr(0, first);
    return;
  }
  judged.text = text;
}

struct Heard {
  std::vector<TokenId> tokens;
  std::vector<float> logprobs;
  std::string text;
  std::vector<float> prompt_logprobs;
  std::size_t prompt_rows = 0;
  const FinishedEvent* finished = nullptr;
  const FailedEvent* failed = nullptr;
  std::size_t after_end = 0;
};

Heard listen(const std::vector<InferenceEvent>& events) {
  Heard heard;
  for (const InferenceEvent& event : events) {
    if (heard.finished || heard.failed) ++heard.after_end;
    if (const auto* token = std::get_if<TokenEvent>(&event)) {
      heard.tokens.push_back(token->id);
      heard.logprobs.push_back(token->logprob);
      heard.text += token->text;
    } else if (const auto* row = std::get_if<PromptTokenEvent>(&event)) {
      ++heard.prompt_rows;
      if (row->has_logprob) heard.prompt_logprobs.push_back(row->logprob);
    } else if (const auto* finished = std::get_if<FinishedEvent>(&event)) {
      heard.finished = finished;
      heard.text += finished->text;
    } else if (const auto* failed = std::get_if<FailedEvent>(&event)) {
      heard.failed = failed;
    }
  }
  return heard;
}

bool same_floats(const std::vector<float>& a, const std::vector<float>& b) {
  return std::ranges::equal(a, b, same_bits);
}

template <typename T>
bool begins_with(const std::vector<T>& whole, const std::vector<T>& part) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

}  // namespace

InferenceRequest random_request(Random& random, std::uint32_t vocab_size) {
  const auto pick = [&](std::initializer_list<float> values) {
    return values.begin()[random.below(values.size())];
  };
  InferenceRequest request;
  const std::size_t size = 1 + random.below(random.below(3) == 0 ? 300 : 60);
  for (std::size_t i = 0; i < size; ++i)
    request.prompt.push_back(static_cast<TokenId>(random.below(vocab_size)));
  request.max_tokens = static_cast<std::uint32_t>(1 + random.below(60));
  request.has_seed = true;
  SamplingParams& sampling = request.sampling;
  sampling.seed = random.next();
  sampling.temperature = pick({0.0f, 0.7f, 1.0f, 1.5f});
  sampling.top_k = random.below(3) == 0 ? static_cast<std::uint32_t>(1 + random.below(40)) : 0;
  sampling.top_p = pick({1.0f, 1.0f, 0.9f, 0.99f});
  sampling.min_p = pick({0.0f, 0.0f, 0.02f});
  sampling.repeat_penalty = pick({1.0f, 1.0f, 1.3f});
  sampling.presence_penalty = pick({0.0f, 0.5f});
  sampling.frequency_penalty = pick({0.0f, 0.0f, 0.4f});
  sampling.top_logprobs = static_cast<std::uint32_t>(random.below(4));
  if (random.below(4) == 0)
    sampling.logit_bias.push_back({static_cast<TokenId>(random.below(vocab_size)), 2.5f});
  request.echo_logprobs = random.below(4) == 0;
  request.digest = random.below(4) == 0;
  if (request.echo_logprobs && random.below(3) == 0) request.max_tokens = 0;
  request.ignore_end = true;
  return request;
}

JudgedRequest judge(const TinyModel& model, InferenceRequest request) {
  WholeModel whole = whole_model(model);
  JudgedRequest judged;
  judged.request = std::move(request);
  const Result<std::vector<ChosenToken>> choices =
      whole.generate(judged.request.prompt, judged.request.sampling, judged.request.max_tokens);
  REQUIRE(choices.has_value());
  for (const ChosenToken& choice : *choices) {
    judged.tokens.push_back(choice.id);
    judged.logprobs.push_back(choice.logprob);
  }
  const Result<Score> score = whole.score(judged.request.prompt, {.top = 0, .chunk = 64, .digest = true});
  REQUIRE(score.has_value());
  if (judged.request.digest) judged.digest = score->digest;
  for (const ScoredRow& row : score->rows) {
    if (judged.request.echo_logprobs && row.next_logprob) judged.prompt_logprobs.push_back(*row.next_logprob);
  }
  apply_stops(judged);
  return judged;
}

std::vector<JudgedRequest> judged_requests(const TinyModel& model, std::uint64_t seed, std::size_t count) {
  Random random(seed, "requests");
  std::vector<JudgedRequest> judged;
  for (std::size_t i = 0; i < count; ++i) {
    judged.push_back(judge(model, random_request(random, model.config().vocab_size)));
    if (random.below(3) > 0 || judged.back().tokens.size() < 4) continue;
    const std::size_t at =
        1 + random.below(judged.back().tokens.size() - 2);  // a stop string over two tokens
    InferenceRequest with_stop = judged.back().request;
    with_stop.stop = {"never said", word(judged.back().tokens[at]).substr(2) +
                                        word(judged.back().tokens[at + 1]).substr(0, 2)};
    judged.push_back(judge(model, std::move(with_stop)));
  }
  return judged;
}

std::string fault_in(const JudgedRequest& judged, const std::vector<InferenceEvent>& events, bool may_fail) {
  const Heard heard = listen(events);
  if (heard.after_end > 0) return "events after the end";
  if (!heard.finished && !heard.failed) return "it did not end";
  if (!begins_with(judged.tokens, heard.tokens)) return "other tokens than the whole model's";
  if (heard.failed) {
    if (heard.failed->message.empty()) return "failed without a reason";
    return may_fail ? "" : "failed: " + heard.failed->message;
  }
  if (heard.tokens.size() != judged.tokens.size()) {
    return std::to_string(heard.tokens.size()) + " tokens, not " + std::to_string(judged.tokens.size());
  }
  if (!same_floats(heard.logprobs, judged.logprobs)) return "other logprobs";
  if (heard.text != judged.text) return "text \"" + heard.text + "\", not \"" + judged.text + "\"";
  if (!same_floats(heard.prompt_logprobs, judged.prompt_logprobs)) return "other prompt logprobs";
  if (judged.request.echo_logprobs && heard.prompt_rows != judged.request.prompt.size())
    return "not one event per prompt row";
  if (heard.finished->digest != judged.digest) return "another digest";
  if (heard.finished->completion_tokens != judged.tokens.size()) return "completion_tokens is wrong";
  return "";
}

bool has_ended(const std::vector<InferenceEvent>& events) {
  if (events.empty()) return false;
  const InferenceEvent& last = events.back();
  return std::holds_alternative<FinishedEvent>(last) || std::holds_alternative<FailedEvent>(last);
}

SimClusterOptions sim_options(const TinyModel& model, std::size_t num_devices, std::uint64_t seed) {
  SimClusterOptions options;
  options.model_path = model.path();
  for (std::size_t i = 0; i < num_devices; ++i)
    options.devices.push_back({.name = "device-" + std::to_string(i + 1)});
  options.settings.min_stages = static_cast<std::uint32_t>(num_devices);
  options.settings.max_context = kSimContext;
  options.settings.kv_positions = 2048;
  options.settings.scheduler.prefill_chunk = 32;
  options.settings.scheduler.busy_prefill_chunk = 16;
  options.seed = seed;
  return options;
}

std::unique_ptr<SimCluster> serving_cluster(SimClusterOptions options) {
  Result<std::unique_ptr<SimCluster>> cluster = SimCluster::open(std::move(options));
  REQUIRE_MESSAGE(cluster.has_value(), cluster.error().message());
  REQUIRE((*cluster)->run_until_serving());
  return *std::move(cluster);
}

std::string leak_in(const SimCluster& cluster) {
  const ClusterState& hub = cluster.hub();
  const Scheduler::Counts counts = hub.scheduler.counts();
  if (counts.running + counts.queued + counts.parked > 0) return "the hub still has requests";
  if (counts.steps_in_flight > 0) return "steps are in flight";
  if (!hub.active) return "";
  if (counts.free_kv_blocks != hub.active->kv.blocks) return "the hub's ledger lacks KV blocks";
  for (const auto& [id, member] : hub.members) {
    if (!hub.active->uses(id) || !cluster.is_running(id)) continue;
    const WorkerState& worker = cluster.worker(id);
    if (!worker.active || worker.active->plan.epoch != hub.active->epoch) continue;
    for (const auto& [stage, window] : worker.windows) {
      if (window.num_sequences() > 0)
        return member.name + " still has a sequence in stage " + std::to_string(stage);
    }
    if (!worker.totals.free_kv_blocks.empty() && worker.totals.free_kv_blocks != hub.active->kv.blocks) {
      return member.name + " does not have all its KV blocks free";
    }
  }
  return "";
}

}  // namespace shoal
