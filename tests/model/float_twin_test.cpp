#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/model/float_twin.h"
#include "tests/model/stage_chain.h"

namespace shoal {
namespace {

TinyModelOptions float_options(Architecture architecture) {
  TinyModelOptions options = TinyModelOptions::for_architecture(architecture);
  options.num_layers = 3;
  options.types = TinyWeightTypes::all(WeightType::F32);
  options.sliding_window = 9;
  options.sliding_window_pattern = 2;
  return options;
}

}  // namespace

TEST_CASE(
    "with unquantised weights every architecture's logits are its f64 twin's, but for keys and values in "
    "f16") {
  std::vector<TinyModelOptions> variants;
  for (Architecture a : {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3})
    variants.push_back(float_options(a));
  variants.push_back(variants[0]);
  variants.back().rope_factors = true;
  variants.back().rope_scaling_factor = 8;
  variants.push_back(variants[3]);
  variants.back().rope_scaling_factor = 8;
  variants.back().num_kv_heads = 2;
  for (const TinyModelOptions& options : variants) {
    CAPTURE(name_of(options.architecture));
    const TinyModel model(41, options);
    const std::vector<TokenId> ids = random_ids(10, 75, options.vocab_size);
    const std::vector<std::vector<double>> expected = float_twin_logits(model, ids);
    StageChain chain(model);
    std::vector<SamplingParams> params(1);
    params[0].temperature = 0;
    params[0].top_logprobs = options.vocab_size;
    const SamplingParams* sampling = params.data();
    const RowGroup group{.sequence = SequenceId{1}, .num_rows = 75, .flags = kWantsAllRows};
    const std::vector<CandidateRow> rows = chain.run({&group, 1}, ids, {&sampling, 1});
    double worst = 0;
    for (std::size_t row = 0; row < rows.size(); ++row) {
      REQUIRE(rows[row].by_raw.size() == options.vocab_size);
      for (const Candidate& c : rows[row].by_raw)
        worst = std::max(
            worst, std::abs(static_cast<double>(c.logit) - expected[row][static_cast<std::size_t>(c.id)]));
    }
    CHECK(worst < 0.03);  // logits spread over about +-10; f16 keeps 11 bits
    MESSAGE("worst ", worst);
  }
}

}  // namespace shoal
