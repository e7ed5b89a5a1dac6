#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "model/score.h"
#include "tests/support/tiny_model.h"

// The truth is reference.py's, which reads the same files with another library; make_reference.py wrote it.

namespace shoal {
namespace {

struct ReferenceCase {
  const char* name;
  TinyModelOptions options;
  double tolerance;  // of a logit: root mean square over the row; the logits' own is about 3
};

TinyModelOptions llama_f32() {
  TinyModelOptions options;
  options.types = TinyWeightTypes::all(WeightType::F32);
  options.rope_factors = true;
  options.tied_head = false;
  return options;
}

TinyModelOptions llama_scaled() {
  TinyModelOptions options;
  options.rope_scaling_factor = 4;
  options.rope_base = 500000;
  return options;
}

TinyModelOptions llama_k_quants() {
  TinyModelOptions options;
  options.num_layers = 2;
  options.hidden_size = options.intermediate_size = 256;
  options.num_heads = 8;
  options.head_dim = 32;
  options.types = TinyWeightTypes::all(WeightType::Q4_K);
  options.types.v = options.types.embedding = WeightType::Q6_K;
  options.types.down = WeightType::Q5_K;
  return options;
}

TinyModelOptions gemma3() {
  TinyModelOptions options = TinyModelOptions::for_architecture(Architecture::Gemma3);
  options.num_layers = 7;
  options.rope_scaling_factor = 8;
  return options;
}

std::vector<ReferenceCase> cases() {
  // Unquantised, what remains is KV in f16; else it is activations in int8.
  return {{"llama_f32", llama_f32(), 0.005},
          {"llama_scaled", llama_scaled(), 0.18},
          {"llama_k_quants", llama_k_quants(), 0.18},
          {"qwen2", TinyModelOptions::for_architecture(Architecture::Qwen2), 0.18},
          {"qwen3", TinyModelOptions::for_architecture(Architecture::Qwen3), 0.18},
          {"gemma3", gemma3(), 0.18}};
}

nlohmann::json reference_data(const std::string& name) {
  std::ifstream file(std::string(SHOAL_TEST_DATA) + "/reference_tiny/" + name + ".json");
  REQUIRE_MESSAGE(file.good(), "no reference data for ", name);
  return nlohmann::json::parse(file);
}

std::vector<double> log_softmax(const std::vector<double>& logits) {
  double sum = 0;
  for (double logit : logits) sum += std::exp(logit);
  std::vector<double> result;
  for (double logit : logits) result.push_back(logit - std::log(sum));
  return result;
}

}  // namespace

TEST_CASE("tiny models of every architecture give reference.py's logits") {
  for (const ReferenceCase& c : cases()) {
    CAPTURE(std::string(c.name));
    const nlohmann::json truth = reference_data(c.name);
    const TinyModel model(truth["seed"].get<std::uint64_t>(), c.options);
    Result<WholeModel> whole = WholeModel::open(model.path(), *runnable_kernels().back(), 1, 256, 64);
    REQUIRE(whole);
    const auto tokens = truth["tokens"].get<std::vector<TokenId>>();
    // Every logit, up to the constant that a log-probability leaves out: the greatest candidates are all of
    // them.
    REQUIRE(model.config().vocab_size > kMaxTopLogprobs);
    const Result<Score> score = whole->score(tokens, {.top = kMaxTopLogprobs});
    REQUIRE(score);
    for (std::size_t i = 0; i < truth["rows"].size(); ++i) {
      const std::vector<double> expected = log_softmax(truth["logits"][i].get<std::vector<double>>());
      const auto row = truth["rows"][i].get<std::size_t>();
      CAPTURE(row);
      double squares = 0;
      for (const TokenLogprob& got : score->rows[row].top) {
        const double error = static_cast<double>(got.logprob) - expected[static_cast<std::size_t>(got.id)];
        squares += error * error;
      }
      const double rms = std::sqrt(squares / kMaxTopLogprobs);
      CHECK(rms < c.tolerance);
      if (row + 1 < tokens.size()) {
        const double next = expected[static_cast<std::size_t>(tokens[row + 1])];
        CHECK(std::abs(static_cast<double>(*score->rows[row].next_logprob) - next) < 5 * c.tolerance);
      }
    }
  }
}

}  // namespace shoal
