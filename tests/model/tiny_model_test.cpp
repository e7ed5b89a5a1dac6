#include "tests/support/tiny_model.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <set>

#include "kernels/panels.h"
#include "tests/support/allocation_counter.h"
#include "tests/support/quantise.h"
#include "tests/support/random.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

struct TypeBound {
  WeightType type;
  float bound;  // the largest error, as a part of the block's largest magnitude
};
constexpr TypeBound kTypes[] = {
    {WeightType::F32, 0},       {WeightType::F16, 0.0005f}, {WeightType::BF16, 0.004f},
    {WeightType::Q4_0, 0.13f},  {WeightType::Q4_1, 0.07f},  {WeightType::Q5_0, 0.07f},
    {WeightType::Q5_1, 0.035f}, {WeightType::Q8_0, 0.005f}, {WeightType::Q4_K, 0.09f},
    {WeightType::Q5_K, 0.05f},  {WeightType::Q6_K, 0.04f},
};

std::vector<float> random_row(std::uint64_t seed, std::size_t size) {
  Random random(seed);
  std::vector<float> row(size);
  for (float& value : row) value = random.normal();
  return row;
}

// Through the kernels' own panels and back.
std::vector<float> stored_and_read(WeightType type, const std::vector<float>& row) {
  const std::vector<std::byte> gguf = quantise(type, row);
  std::vector<std::byte> buffer(panel_bytes(type, row.size()) + 64);
  void* aligned = buffer.data();
  std::size_t space = buffer.size();
  std::align(64, panel_bytes(type, row.size()), aligned, space);
  auto* panels = static_cast<std::byte*>(aligned);
  pack_panels(type, 1, row.size(), gguf.data(), panels);
  std::vector<float> out(row.size());
  dequantise_row({type, 1, row.size(), panels}, 0, out.data());
  return out;
}

}  // namespace

TEST_CASE("the random generator gives SplitMix64's published numbers and a bell curve") {
  CHECK(Random(0).next() == 0xE220A8397B1DCDAFull);
  CHECK(Random(1, "a").next() != Random(1, "b").next());
  CHECK(Random(1, "a").next() != Random(2, "a").next());
  Random random(3);
  double sum = 0;
  double squares = 0;
  constexpr int kSamples = 100000;
  for (int i = 0; i < kSamples; ++i) {
    const double x = static_cast<double>(random.normal());
    sum += x;
    squares += x * x;
  }
  CHECK(std::fabs(sum / kSamples) < 0.02);
  CHECK(std::fabs(squares / kSamples - 1) < 0.02);
}

TEST_CASE("the allocation counter sees every allocation and its end") {
  const std::size_t before = num_allocations();
  const std::size_t live = live_bytes();
  const PeakMemory peak;
  { const std::vector<std::byte> million(1000000); }
  CHECK(num_allocations() > before);
  CHECK(live_bytes() == live);
  CHECK(peak.bytes() >= 1000000);
  CHECK(peak.bytes() < 1100000);
}

TEST_CASE("every type is quantised to the nearest of its codes") {
  for (const TypeBound& type : kTypes) {
    CAPTURE(name_of(type.type));
    for (const std::uint64_t seed : {1u, 2u, 3u}) {
      const std::vector<float> row = random_row(seed, 512);
      const std::vector<float> back = stored_and_read(type.type, row);
      for (std::size_t i = 0; i < row.size(); ++i) {
        const std::size_t block = i / 32 * 32;
        float largest = 0;
        for (std::size_t j = block; j < block + 32; ++j) largest = std::max(largest, std::fabs(row[j]));
        const float error = std::fabs(back[i] - row[i]);
        if (!(error <= type.bound * largest)) FAIL_CHECK("value ", row[i], " came back as ", back[i]);
      }
    }
  }
}

TEST_CASE("zeros and constant rows survive every type") {
  for (const TypeBound& type : kTypes) {
    CAPTURE(name_of(type.type));
    for (const float value : {0.0f, 1.0f, -1.0f}) {
      CAPTURE(value);
      for (const float back : stored_and_read(type.type, std::vector<float>(256, value)))
        CHECK(std::fabs(back - value) < 0.02f);
    }
  }
}

TEST_CASE("a tiny model is its seed and options, and nothing else") {
  CHECK(tiny_model_bytes(5) == tiny_model_bytes(5));
  CHECK(tiny_model_bytes(5) != tiny_model_bytes(6));
}

TEST_CASE("one tensor's type leaves the others alone") {
  TinyModelOptions options;
  const TinyModel one(5, options);
  options.types.q = WeightType::F32;
  const TinyModel two(5, options);
  const auto same = [&](const char* name) {
    const Bytes a = one.file().data(*one.file().find_tensor(name));
    const Bytes b = two.file().data(*two.file().find_tensor(name));
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
  };
  CHECK(same("blk.3.attn_k.weight"));
  CHECK(same("token_embd.weight"));
  CHECK_FALSE(same("blk.3.attn_q.weight"));
}

TEST_CASE("a tiny model can be made of every type and architecture") {
  constexpr std::size_t kStride = kIsSlowRun ? 3 : 1;  // each of eleven types comes up, and each architecture
  std::size_t number = 0;
  for (const Architecture architecture :
       {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3}) {
    for (const TypeBound& type : kTypes) {
      if (number++ % kStride != 0) continue;
      CAPTURE(name_of(architecture));
      CAPTURE(name_of(type.type));
      TinyModelOptions options = TinyModelOptions::for_architecture(architecture);
      options.num_layers = 1;
      options.hidden_size = 256;
      options.head_dim = 64;
      options.intermediate_size = 256;
      options.vocab_size = kTinyMinVocab;
      options.types = TinyWeightTypes::all(type.type);
      REQUIRE(problem_with(options).empty());
      const TinyModel model(1, options);
      CHECK(model.file().find_tensor("blk.0.ffn_gate.weight")->type == type.type);
      CHECK(model.config().head_dim == 64);
    }
  }
}

TEST_CASE("a model that cannot be made is refused with the reason") {
  TinyModelOptions options;
  options.types.gate = WeightType::Q4_K;
  CHECK(problem_with(options) ==
        "blk.0.ffn_gate.weight of type Q4_K needs columns in multiples of 256, not 64");
  options = TinyModelOptions();
  options.vocab_size = 100;
  CHECK(problem_with(options) == "vocab_size must be at least 384");
  options = TinyModelOptions();
  options.num_kv_heads = 3;
  CHECK(problem_with(options) == "num_heads must be a multiple of num_kv_heads");
}

TEST_CASE("a tiny model's file goes with it") {
  std::string path;
  {
    TinyModel model(1);
    path = model.path();
    const TinyModel moved = std::move(model);
    CHECK(moved.path() == path);
    CHECK(std::filesystem::exists(path));
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("the byte-level tokenizer has every byte, unique tokens and merges that build tokens") {
  const TinyTokenizer tokenizer = make_tiny_tokenizer(TinyTokenizerKind::ByteLevelBpe, 600, "smollm");
  const std::set<std::string> tokens(tokenizer.tokens.begin(), tokenizer.tokens.end());
  CHECK(tokenizer.tokens.size() == 600);
  CHECK(tokens.size() == 600);
  CHECK(tokenizer.types.size() == 600);
  CHECK(tokenizer.tokens[1] == "<|im_start|>");
  CHECK(tokenizer.tokens[3] == "\xC4\x80");  // byte 0 is U+0100
  CHECK(tokenizer.tokens[3 + 'a'] == "a");
  CHECK(tokenizer.merges.size() > 300);
  for (const std::string& merge : tokenizer.merges) {
    const std::size_t gap = merge.find(' ');
    REQUIRE(gap != std::string::npos);
    CHECK(tokens.contains(merge.substr(0, gap)));
    CHECK(tokens.contains(merge.substr(gap + 1)));
    CHECK(tokens.contains(merge.substr(0, gap) + merge.substr(gap + 1)));
  }
}

TEST_CASE("the SentencePiece-style tokenizer has every byte, unique tokens and a score for each") {
  const TinyTokenizer tokenizer = make_tiny_tokenizer(TinyTokenizerKind::SentencePiece, 600, "");
  const std::set<std::string> tokens(tokenizer.tokens.begin(), tokenizer.tokens.end());
  CHECK(tokens.size() == 600);
  CHECK(tokenizer.scores.size() == 600);
  CHECK(std::count(tokenizer.types.begin(), tokenizer.types.end(), 6) == 256);
  CHECK(tokens.contains("<0x00>"));
  CHECK(tokens.contains("<0xFF>"));
  CHECK(tokens.contains("\xE2\x96\x81the"));
  CHECK(tokenizer.tokens[tokenizer.bos] == "<bos>");
}

TEST_CASE("a vocabulary larger than training fills is still the size asked for") {
  CHECK(make_tiny_tokenizer(TinyTokenizerKind::ByteLevelBpe, 5000, "gpt-2").tokens.size() == 5000);
  CHECK(make_tiny_tokenizer(TinyTokenizerKind::SentencePiece, 5000, "").tokens.size() == 5000);
}

}  // namespace shoal
