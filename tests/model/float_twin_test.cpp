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

std::vector<TinyModelOptions> variants() {
  std::vector<TinyModelOptions> variants;
  for (Architecture a : {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3})
    variants.push_back(float_options(a));
  variants.push_back(variants[0]);
  variants.back().rope_factors = true;
  variants.back().rope_scaling_factor = 8;
  variants.push_back(variants[3]);
  variants.back().rope_scaling_factor = 8;
  variants.back().num_kv_heads = 2;
  return variants;
}

// The farthest that a logit of ours lies from the twin's.
double worst_distance(const TinyModel& model, std::span<const TokenId> ids, KvType kv_type,
                      const std::vector<std::vector<double>>& expected) {
  StageChain chain(model, {.kv_type = kv_type});
  SamplingParams params;
  params.temperature = 0;
  params.top_logprobs = model.config().vocab_size;
  const SamplingParams* sampling = &params;
  const RowGroup group{
      .sequence = SequenceId{1}, .num_rows = static_cast<std::uint32_t>(ids.size()), .flags = kWantsAllRows};
  const std::vector<CandidateRow> rows = chain.run({&group, 1}, ids, {&sampling, 1});
  double worst = 0;
  for (std::size_t row = 0; row < rows.size(); ++row) {
    REQUIRE(rows[row].by_raw.size() == model.config().vocab_size);
    for (const Candidate& c : rows[row].by_raw)
      worst = std::max(
          worst, std::abs(static_cast<double>(c.logit) - expected[row][static_cast<std::size_t>(c.id)]));
  }
  return worst;
}

}  // namespace

// Logits spread over about +-10.
TEST_CASE(
    "with unquantised weights every architecture's logits are its f64 twin's, but for keys and values in "
    "f16 or q8") {
  for (const TinyModelOptions& options : variants()) {
    CAPTURE(name_of(options.architecture));
    const TinyModel model(41, options);
    const std::vector<TokenId> ids = random_ids(10, 75, options.vocab_size);
    const std::vector<std::vector<double>> exact = float_twin_logits(model, ids);
    const double in_f16 = worst_distance(model, ids, KvType::F16, exact);
    CHECK(in_f16 < 0.03);  // f16 keeps 11 bits
    const double in_q8 = worst_distance(model, ids, KvType::Q8, exact);
    CHECK(in_q8 < 0.3);
    CHECK(in_q8 > in_f16);
    const double of_rounded =
        worst_distance(model, ids, KvType::Q8, float_twin_logits(model, ids, KvType::Q8));
    CHECK(of_rounded < 0.01);  // a value that lies between two codes may fall to the other side
    MESSAGE("worst ", in_f16, " in f16, ", in_q8, " in q8, ", of_rounded, " of the twin's in q8");
  }
}

}  // namespace shoal
