// Models we do not run, each refused with the reason and, where there is a choice, with what is supported.
#include <doctest/doctest.h>

#include <array>
#include <functional>
#include <limits>
#include <string>

#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "model/model_config.h"
#include "tests/support/quantise.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

using Edit = std::function<void(GgufWriter&)>;

struct Refusal {
  const char* name;
  Edit edit;
  const char* expected;  // part of the message
  ErrorCode code = ErrorCode::Corrupt;
};

TinyModelOptions small(Architecture architecture) {
  TinyModelOptions options = TinyModelOptions::for_architecture(architecture);
  options.num_layers = 2;
  options.vocab_size = kTinyMinVocab;
  return options;
}

void check_refused(const Refusal& refusal, Architecture architecture = Architecture::Llama) {
  CAPTURE(refusal.name);
  GgufWriter writer = tiny_model_writer(1, small(architecture));
  refusal.edit(writer);
  const Result<GgufFile> file = GgufFile::from_memory("odd.gguf", *writer.to_bytes());
  REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message()));
  const Result<ModelConfig> config = read_model_config(*file);
  REQUIRE_FALSE(config);
  const std::string& message = config.error().message();
  CAPTURE(message);
  CHECK(config.error().code() == refusal.code);
  CHECK(message.starts_with("odd.gguf: "));
  CHECK(message.find(refusal.expected) != std::string::npos);
}

Edit set(const char* key, GgufValue value) {
  return [=](GgufWriter& writer) { writer.set(key, value); };
}
Edit erase(const char* key) {
  return [=](GgufWriter& writer) { writer.erase(key); };
}
Edit erase_tensor(const char* name) {
  return [=](GgufWriter& writer) { writer.erase_tensor(name); };
}
Edit set_tensor(const char* name, WeightType type, std::vector<std::uint64_t> dims, float value = 1.0f) {
  return [=](GgufWriter& writer) {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : dims) elements *= dim;
    writer.erase_tensor(name);
    writer.add_tensor(name, type, dims, [=] { return quantise(type, std::vector<float>(elements, value)); });
  };
}

}  // namespace

TEST_CASE("an architecture we do not run is named beside those we do") {
  check_refused({"mamba", set("general.architecture", GgufValue::string("mamba")),
                 "the architecture is 'mamba'; supported are llama, qwen2, qwen3, gemma3",
                 ErrorCode::Unsupported});
  check_refused({"none", erase("general.architecture"), "no general.architecture"});
  check_refused({"a number", set("general.architecture", GgufValue::u32(3)), "no general.architecture"});
}

TEST_CASE("metadata that is missing or of the wrong kind is named") {
  const Refusal refusals[] = {
      {"no layers", erase("llama.block_count"), "no llama.block_count"},
      {"no hidden size", erase("llama.embedding_length"), "no llama.embedding_length"},
      {"no heads", erase("llama.attention.head_count"), "no llama.attention.head_count"},
      {"no epsilon", erase("llama.attention.layer_norm_rms_epsilon"),
       "no llama.attention.layer_norm_rms_epsilon"},
      {"no context", erase("llama.context_length"), "no llama.context_length"},
      {"text for a number", set("llama.block_count", GgufValue::string("2")),
       "llama.block_count is not a whole number"},
      {"a fraction", set("llama.block_count", GgufValue::f32(2)), "llama.block_count is not a whole number"},
      {"negative", set("llama.block_count", GgufValue::i32(-2)),
       "llama.block_count is -2, expected 0 to 4294967295"},
      {"past 32 bits", set("llama.context_length", GgufValue::u64(1ull << 40)),
       "llama.context_length is 1099511627776"},
      {"text for a float", set("llama.rope.freq_base", GgufValue::string("x")),
       "llama.rope.freq_base is not a number"},
      {"a number for text", set("llama.rope.scaling.type", GgufValue::u32(1)),
       "llama.rope.scaling.type is not a string"},
  };
  for (const Refusal& refusal : refusals) check_refused(refusal);
}

TEST_CASE("sizes that make no sense are refused with their values") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  const Refusal refusals[] = {
      {"no layers", set("llama.block_count", GgufValue::u32(0)), "num_layers is 0, expected 1 to 1024"},
      {"a billion layers", set("llama.block_count", GgufValue::u32(1000000000)),
       "llama.block_count is 1000000000, expected at most 1024"},
      {"no hidden size", set("llama.embedding_length", GgufValue::u32(0)), "hidden_size is 0"},
      {"vast hidden size", set("llama.embedding_length", GgufValue::u32(1u << 30)),
       "hidden_size is 1073741824, expected 1 to 65536"},
      {"no heads", set("llama.attention.head_count", GgufValue::u32(0)), "llama.attention.head_count is 0"},
      {"no kv heads", set("llama.attention.head_count_kv", GgufValue::u32(0)), "num_kv_heads is 0"},
      {"kv heads that do not divide", set("llama.attention.head_count_kv", GgufValue::u32(3)),
       "num_heads 4 is not a multiple of num_kv_heads 3"},
      {"heads that do not divide", set("llama.attention.head_count", GgufValue::u32(3)),
       "no llama.attention.key_length"},
      {"no feed-forward", set("llama.feed_forward_length", GgufValue::u32(0)), "intermediate_size is 0"},
      {"no context", set("llama.context_length", GgufValue::u32(0)), "max_seq_len is 0"},
      {"endless context", set("llama.context_length", GgufValue::u32(1u << 30)),
       "max_seq_len is 1073741824, expected 1 to 16777216"},
      {"odd rope", set("llama.rope.dimension_count", GgufValue::u32(15)),
       "rope_dim is 15, expected an even number up to head_dim 16"},
      {"rope past the head", set("llama.rope.dimension_count", GgufValue::u32(18)), "rope_dim is 18"},
      {"no rope", set("llama.rope.dimension_count", GgufValue::u32(0)), "rope_dim is 0"},
      {"head_dim 1024", set("llama.attention.key_length", GgufValue::u32(1024)),
       "head_dim is 1024, expected 1 to 512"},
      {"epsilon 0", set("llama.attention.layer_norm_rms_epsilon", GgufValue::f32(0)), "rms_norm_eps is 0"},
      {"epsilon NaN", set("llama.attention.layer_norm_rms_epsilon", GgufValue::f32(nan)),
       "rms_norm_eps is nan"},
      {"base 0", set("llama.rope.freq_base", GgufValue::f32(0)), "a layer's rope_base is 0"},
      {"base infinite", set("llama.rope.freq_base", GgufValue::f32(infinity)), "a layer's rope_base is inf"},
      {"scale NaN", set("llama.attention.scale", GgufValue::f32(nan)), "attention_scale is nan"},
      {"another vocabulary", set("llama.vocab_size", GgufValue::u32(999)),
       "llama.vocab_size is 999 but token_embd.weight has 384 rows"},
      {"more tokens than rows",
       [](GgufWriter& w) {
         w.set("tokenizer.ggml.tokens", GgufValue::strings(std::vector<std::string>(385)));
       },
       "tokenizer.ggml.tokens has 385 entries but token_embd.weight only 384 rows"},
  };
  for (const Refusal& refusal : refusals) check_refused(refusal);
}

TEST_CASE("features we do not have are refused by name") {
  constexpr ErrorCode kUnsupported = ErrorCode::Unsupported;
  const std::array<std::int32_t, 2> kv_heads{2, 1};
  const std::array<std::int32_t, 3> three{2, 2, 2};
  const Refusal refusals[] = {
      {"experts", set("llama.expert_count", GgufValue::u32(8)), "mixtures of experts are not supported",
       kUnsupported},
      {"yarn", set("llama.rope.scaling.type", GgufValue::string("yarn")),
       "llama.rope.scaling.type is 'yarn'; supported are none, linear", kUnsupported},
      {"longrope", set("llama.rope.scaling.type", GgufValue::string("longrope")),
       "is 'longrope'; supported are none, linear", kUnsupported},
      {"linear without a factor", set("llama.rope.scaling.type", GgufValue::string("linear")),
       "no llama.rope.scaling.factor"},
      {"a factor without a type", set("llama.rope.scaling.factor", GgufValue::f32(4)),
       "given without llama.rope.scaling.type"},
      {"kv heads by layer", set("llama.attention.head_count_kv", GgufValue::i32s(kv_heads)),
       "llama.attention.head_count_kv is 2 in layer 0 and 1 in layer 1; supported are models with the same "
       "number in every layer",
       kUnsupported},
      {"kv heads for three layers", set("llama.attention.head_count_kv", GgufValue::i32s(three)),
       "has 3 numbers for 2 layers"},
      {"other value length", set("llama.attention.value_length", GgufValue::u32(8)),
       "llama.attention.value_length differs", kUnsupported},
      {"softcapping", set("llama.attn_logit_softcapping", GgufValue::f32(50)),
       "llama.attn_logit_softcapping is set", kUnsupported},
      {"encoder", set("llama.attention.causal", GgufValue::boolean(false)), "only causal language models",
       kUnsupported},
      {"split", set("split.count", GgufValue::u16(3)), "split over several files; join them", kUnsupported},
      {"adapter", set("general.type", GgufValue::string("adapter")),
       "general.type is 'adapter', expected 'model'", kUnsupported},
  };
  for (const Refusal& refusal : refusals) check_refused(refusal);
}

TEST_CASE("linear scaling by a factor of 0 or less is refused") {
  for (const float factor : {0.0f, -2.0f, 1e-9f, 1e9f}) {
    CAPTURE(factor);
    check_refused({"factor",
                   [=](GgufWriter& w) {
                     w.set("llama.rope.scaling.type", GgufValue::string("linear"));
                     w.set("llama.rope.scaling.factor", GgufValue::f32(factor));
                   },
                   factor > 0 ? "a layer's rope_scale is" : "llama.rope.scaling.factor is not above 0"});
  }
}

TEST_CASE("tensors that are missing, left over or of the wrong shape are named") {
  const Refusal refusals[] = {
      {"no embedding", erase_tensor("token_embd.weight"), "no tensor token_embd.weight"},
      {"no norm", erase_tensor("output_norm.weight"), "the file has no tensor output_norm.weight (64)"},
      {"no up", erase_tensor("blk.1.ffn_up.weight"), "the file has no tensor blk.1.ffn_up.weight (64 x 128)"},
      {"other up", set_tensor("blk.1.ffn_up.weight", WeightType::F32, {64, 127}),
       "tensor blk.1.ffn_up.weight is 64 x 127, expected 64 x 128 from the metadata's sizes"},
      {"transposed", set_tensor("blk.1.ffn_up.weight", WeightType::F32, {128, 64}),
       "is 128 x 64, expected 64 x 128"},
      {"three dimensions", set_tensor("blk.1.ffn_up.weight", WeightType::F32, {64, 64, 2}),
       "is 64 x 64 x 2, expected 64 x 128"},
      {"long norm", set_tensor("blk.0.attn_norm.weight", WeightType::F32, {64, 2}), "is 64 x 2, expected 64"},
      {"quantised norm", set_tensor("blk.0.attn_norm.weight", WeightType::Q8_0, {64}),
       "for norms, biases and factors F32 is supported", ErrorCode::Unsupported},
      {"bias in one layer", set_tensor("blk.0.attn_q.bias", WeightType::F32, {64}),
       "the file has no tensor blk.0.attn_k.bias (32)"},
      {"a bias we would leave out", set_tensor("blk.0.attn_output.bias", WeightType::F32, {64}),
       "tensor 'blk.0.attn_output.bias' has no part in the architecture llama", ErrorCode::Unsupported},
      {"another layer", set_tensor("blk.2.attn_norm.weight", WeightType::F32, {64}),
       "tensor 'blk.2.attn_norm.weight' has no part", ErrorCode::Unsupported},
      {"short factors", set_tensor("rope_freqs.weight", WeightType::F32, {4}),
       "tensor rope_freqs.weight is 4, expected 8"},
      {"factor 0", set_tensor("rope_freqs.weight", WeightType::F32, {8}, 0),
       "rope_freqs.weight has the factor 0.000000 at 0"},
      {"tiny factor", set_tensor("rope_freqs.weight", WeightType::F32, {8}, 1e-9f),
       "a positive number that is not tiny"},
      {"factor NaN",
       set_tensor("rope_freqs.weight", WeightType::F32, {8}, std::numeric_limits<float>::quiet_NaN()),
       "rope_freqs.weight has the factor nan"},
  };
  for (const Refusal& refusal : refusals) check_refused(refusal);
}

TEST_CASE("what an architecture must have is asked of its files") {
  check_refused(
      {"qwen3 without norms", erase_tensor("blk.0.attn_q_norm.weight"), "no tensor blk.0.attn_q_norm.weight"},
      Architecture::Qwen3);
  check_refused({"gemma3 without post-norms", erase_tensor("blk.1.post_ffw_norm.weight"),
                 "no tensor blk.1.post_ffw_norm.weight"},
                Architecture::Gemma3);
  const std::array flags{GgufValue::boolean(true)};
  check_refused({"gemma3 with too few flags",
                 set("gemma3.attention.sliding_window_pattern", GgufValue::array(GgufKind::Bool, flags)),
                 "has 1 flags for 2 layers"},
                Architecture::Gemma3);
  check_refused({"gemma3 with soft caps", set("gemma3.final_logit_softcapping", GgufValue::f32(30)),
                 "gemma3.final_logit_softcapping is set", ErrorCode::Unsupported},
                Architecture::Gemma3);
}

TEST_CASE("a tensor of a type we do not compute with is named with those we do") {
  // The type is the four bytes after the name, the number of dimensions and the dimensions.
  std::vector<std::byte> bytes = tiny_model_bytes(1, small(Architecture::Llama));
  const std::string name = "blk.1.ffn_up.weight";
  const auto at = std::search(bytes.begin(), bytes.end(), name.begin(), name.end(),
                              [](std::byte a, char b) { return a == static_cast<std::byte>(b); });
  REQUIRE(at != bytes.end());
  store(&*at + name.size() + 4 + 16, std::uint32_t{23});
  const Result<GgufFile> file = GgufFile::from_memory("odd.gguf", bytes);
  REQUIRE(file);
  const Result<ModelConfig> config = read_model_config(*file);
  REQUIRE_FALSE(config);
  CHECK(config.error().code() == ErrorCode::Unsupported);
  CHECK(config.error().message() ==
        "odd.gguf: tensor blk.1.ffn_up.weight has the type IQ4_XS; supported are F32, F16, Q4_0, Q4_1, Q5_0, "
        "Q5_1, Q8_0, Q4_K, "
        "Q5_K, Q6_K, BF16");
}

}  // namespace shoal
