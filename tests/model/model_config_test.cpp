#include "model/model_config.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "kernels/panels.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "tests/support/model_files.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

ModelConfig config_of(const GgufWriter& writer) {
  const Result<GgufFile> file = GgufFile::from_memory("tiny.gguf", *writer.to_bytes());
  REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message()));
  Result<ModelConfig> config = read_model_config(*file);
  REQUIRE_MESSAGE(config.has_value(), (config ? "" : config.error().message()));
  return *std::move(config);
}

std::vector<std::uint32_t> local_layers(const ModelConfig& config) {
  std::vector<std::uint32_t> local;
  for (std::uint32_t layer = 0; layer < config.num_layers; ++layer) {
    if (config.layers[layer].window != 0) local.push_back(layer);
  }
  return local;
}

const TensorSpec& spec_of(const std::vector<TensorSpec>& specs, std::uint32_t unit, TensorRole role) {
  const auto found = std::find_if(specs.begin(), specs.end(),
                                  [&](const TensorSpec& s) { return s.unit == unit && s.role == role; });
  REQUIRE(found != specs.end());
  return *found;
}

}  // namespace

TEST_CASE("a llama's config is its metadata") {
  TinyModelOptions options;
  options.tied_head = false;
  options.rope_base = 500000.0f;
  const TinyModel model(1, options);
  const ModelConfig& c = model.config();
  CHECK(c.architecture == Architecture::Llama);
  CHECK(c.name == "Tiny model");
  CHECK(c.num_layers == 6);
  CHECK(c.hidden_size == 64);
  CHECK(c.intermediate_size == 128);
  CHECK(c.num_heads == 4);
  CHECK(c.num_kv_heads == 2);
  CHECK(c.head_dim == 16);
  CHECK(c.rope_dim == 16);
  CHECK(c.vocab_size == 600);
  CHECK(c.max_seq_len == 4096);
  CHECK(c.rms_norm_eps == 1e-6f);
  CHECK(c.attention_scale == 0.25f);
  CHECK(c.embedding_scale == 1.0f);
  CHECK(c.activation == Activation::Silu);
  CHECK(c.rope_interleaved);
  CHECK_FALSE(c.qkv_bias);
  CHECK_FALSE(c.qk_norm);
  CHECK_FALSE(c.post_norms);
  CHECK_FALSE(c.tied_head);
  REQUIRE(c.layers.size() == 6);
  for (const LayerConfig& layer : c.layers) CHECK(layer == LayerConfig{0, 500000.0f, 1.0f});
  CHECK(c.num_units() == 8);
  CHECK(c.head_unit() == 7);
  CHECK(c.kv_shape(KvType::F16).position_bytes() == 4 * 2 * 16);
  CHECK(c.activation_bytes() == 256);
}

TEST_CASE("a qwen2 has biases, half-split RoPE and no norms on its heads") {
  const TinyModel model(1, TinyModelOptions::for_architecture(Architecture::Qwen2));
  CHECK(model.config().architecture == Architecture::Qwen2);
  CHECK(model.config().qkv_bias);
  CHECK_FALSE(model.config().qk_norm);
  CHECK_FALSE(model.config().rope_interleaved);
  CHECK(model.config().tied_head);
}

TEST_CASE("a qwen3 has norms on its heads and a head_dim of its own") {
  const TinyModel model(1, TinyModelOptions::for_architecture(Architecture::Qwen3));
  CHECK(model.config().architecture == Architecture::Qwen3);
  CHECK(model.config().qk_norm);
  CHECK_FALSE(model.config().qkv_bias);
  CHECK(model.config().head_dim == 32);
  CHECK(model.config().attention_scale == static_cast<float>(1.0 / std::sqrt(32.0)));
  CHECK(model.config().layers[0].rope_base == 1000000.0f);
}

TEST_CASE("a gemma3 alternates five local layers with one global") {
  TinyModelOptions options = TinyModelOptions::for_architecture(Architecture::Gemma3);
  options.num_layers = 13;
  options.rope_scaling_factor = 8.0f;
  const ModelConfig c = TinyModel(1, options).config();
  CHECK(c.architecture == Architecture::Gemma3);
  CHECK(c.activation == Activation::GeluTanh);
  CHECK(c.embedding_scale == 8.0f);
  CHECK(c.qk_norm);
  CHECK(c.post_norms);
  CHECK(local_layers(c) == std::vector<std::uint32_t>{0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 12});
  CHECK(c.layers[0] == LayerConfig{8, 10000.0f, 1.0f});
  CHECK(c.layers[5] == LayerConfig{0, 1000000.0f, 0.125f});
}

TEST_CASE("a gemma3's pattern of windows may be a period or one flag per layer") {
  const TinyModelOptions options = TinyModelOptions::for_architecture(Architecture::Gemma3);
  GgufWriter writer = tiny_model_writer(1, options);
  writer.set("gemma3.attention.sliding_window_pattern", GgufValue::u32(3));
  writer.set("gemma3.rope.freq_base_swa", GgufValue::f32(20000));
  const ModelConfig periodic = config_of(writer);
  CHECK(local_layers(periodic) == std::vector<std::uint32_t>{0, 1, 3, 4});
  CHECK(periodic.layers[0].rope_base == 20000.0f);

  std::vector<GgufValue> flags(6, GgufValue::boolean(false));
  flags[4] = GgufValue::boolean(true);
  writer.set("gemma3.attention.sliding_window_pattern", GgufValue::array(GgufKind::Bool, flags));
  CHECK(local_layers(config_of(writer)) == std::vector<std::uint32_t>{4});

  writer.set("gemma3.attention.sliding_window_pattern", GgufValue::u32(1));
  CHECK(local_layers(config_of(writer)).empty());
}

TEST_CASE("linear scaling divides positions in every layer of a llama") {
  TinyModelOptions options;
  options.rope_scaling_factor = 4.0f;
  const TinyModel model(1, options);
  for (const LayerConfig& layer : model.config().layers) CHECK(layer.rope_scale == 0.25f);
}

TEST_CASE("sizes that a file leaves out follow from the others") {
  GgufWriter writer = tiny_model_writer(1);
  writer.erase("llama.rope.dimension_count");
  writer.erase("llama.vocab_size");
  writer.erase("llama.rope.freq_base");
  writer.erase("general.name");
  const ModelConfig c = config_of(writer);
  CHECK(c.rope_dim == 16);
  CHECK(c.vocab_size == 600);
  CHECK(c.layers[0].rope_base == 10000.0f);
  CHECK(c.name == "unnamed");
}

TEST_CASE("a file may state sizes per layer when they agree, in any integer kind") {
  GgufWriter writer = tiny_model_writer(1);
  const std::vector<std::int32_t> kv_heads(6, 2);
  const std::vector<GgufValue> ffn(6, GgufValue::u64(128));
  writer.set("llama.attention.head_count_kv", GgufValue::i32s(kv_heads));
  writer.set("llama.feed_forward_length", GgufValue::array(GgufKind::U64, ffn));
  writer.set("llama.attention.head_count", GgufValue::u8(4));
  writer.set("llama.attention.scale", GgufValue::f64(0.5));
  const ModelConfig c = config_of(writer);
  CHECK(c.num_kv_heads == 2);
  CHECK(c.intermediate_size == 128);
  CHECK(c.num_heads == 4);
  CHECK(c.attention_scale == 0.5f);
}

TEST_CASE("a model's name is made safe to print") {
  TinyModelOptions options;
  options.name = "bad\x1b[31m" + std::string(1000, 'x');
  const TinyModel model(1, options);
  CHECK(model.config().name.starts_with("bad?[31mxxx"));
  CHECK(model.config().name.size() == 256);
}

TEST_CASE("tensor specs cover every tensor of the file once per use, in unit order") {
  for (const Architecture architecture :
       {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3}) {
    CAPTURE(name_of(architecture));
    const TinyModel model(1, TinyModelOptions::for_architecture(architecture));
    const std::vector<TensorSpec> specs = model.specs();
    std::set<std::string> names;
    std::uint64_t unit = 0;
    for (const TensorSpec& spec : specs) {
      CHECK(spec.unit >= unit);
      unit = spec.unit;
      names.insert(spec.file_name);
      const GgufTensor* tensor = model.file().find_tensor(spec.file_name);
      REQUIRE(tensor != nullptr);
      CHECK(spec.cols == tensor->cols());
      CHECK(spec.rows == tensor->rows());
      CHECK(spec.type == *tensor->type);
      CHECK(spec.is_matrix == (tensor->num_dims == 2));
      CHECK(spec.gguf_bytes() == tensor->size_bytes);
    }
    CHECK(unit == model.config().head_unit());
    CHECK(names.size() == model.file().tensors().size());
  }
}

TEST_CASE("specs name each role's shape and type") {
  const TinyModel model(1, TinyModelOptions::for_architecture(Architecture::Qwen3));
  const std::vector<TensorSpec> specs = model.specs();
  const TensorSpec& k = spec_of(specs, 3, TensorRole::K);
  CHECK(k.file_name == "blk.2.attn_k.weight");
  CHECK(k.rows == 64);
  CHECK(k.cols == 64);
  CHECK(k.type == WeightType::Q4_0);
  CHECK(k.stored_bytes() == panel_matrix_bytes(WeightType::Q4_0, 64, 64));
  const TensorSpec& norm = spec_of(specs, 3, TensorRole::QNorm);
  CHECK(norm.rows == 1);
  CHECK(norm.cols == 32);
  CHECK(norm.stored_bytes() == 128);
  CHECK(spec_of(specs, 7, TensorRole::Head).file_name == "output.weight");
  CHECK(spec_of(specs, 0, TensorRole::Embedding).file_name == "token_embd.weight");
}

TEST_CASE("shard bytes count a tied matrix and shared rope factors once") {
  TinyModelOptions options;
  options.rope_factors = true;
  const TinyModel model(1, options);
  const std::vector<TensorSpec> specs = model.specs();
  const std::uint32_t end = model.config().num_units();
  const std::uint64_t embedding = spec_of(specs, 0, TensorRole::Embedding).stored_bytes();
  const std::uint64_t factors = spec_of(specs, 1, TensorRole::RopeFactors).stored_bytes();
  CHECK(factors == 8 * 4);
  CHECK(shard_bytes(specs, {0, 1}) == embedding);
  CHECK(shard_bytes(specs, {end - 1, end}) == embedding + 64 * 4);
  const std::uint64_t layers = shard_bytes(specs, {1, end - 1});
  CHECK(layers == shard_bytes(specs, {1, 4}) + shard_bytes(specs, {4, end - 1}) - factors);
  CHECK(shard_bytes(specs, {0, end}) == embedding + layers + 64 * 4);
  CHECK(shard_bytes(specs, {3, 3}) == 0);
}

TEST_CASE("the real SmolLM2's config is the one its makers published") {
  const std::optional<std::string> path = real_model(kSmolLm2File);
  if (!path) return;
  const Result<GgufFile> file = GgufFile::open(*path);
  REQUIRE(file);
  const Result<ModelConfig> c = read_model_config(*file);
  REQUIRE_MESSAGE(c.has_value(), (c ? "" : c.error().message()));
  CHECK(c->num_layers == 30);
  CHECK(c->hidden_size == 576);
  CHECK(c->intermediate_size == 1536);
  CHECK(c->num_heads == 9);
  CHECK(c->num_kv_heads == 3);
  CHECK(c->head_dim == 64);
  CHECK(c->vocab_size == 49152);
  CHECK(c->max_seq_len == 8192);
  CHECK(c->layers[0].rope_base == 100000.0f);
  CHECK(c->attention_scale == 0.125f);
  CHECK(c->tied_head);
  CHECK(c->kv_shape(KvType::F16).position_bytes() * c->num_layers == 23040);
  const std::uint64_t stored = shard_bytes(tensor_specs(*c, *file), {0, c->num_units()});
  CHECK(stored < file->file_bytes() * 105 / 100);
}

TEST_CASE("the real Gemma 3's config is the one its makers published") {
  const std::optional<std::string> path = real_model(kGemma3File);
  if (!path) return;
  const Result<GgufFile> file = GgufFile::open(*path);
  REQUIRE(file);
  const Result<ModelConfig> c = read_model_config(*file);
  REQUIRE_MESSAGE(c.has_value(), (c ? "" : c.error().message()));
  CHECK(c->num_layers == 18);
  CHECK(c->hidden_size == 640);
  CHECK(c->num_heads == 4);
  CHECK(c->num_kv_heads == 1);
  CHECK(c->head_dim == 256);
  CHECK(c->rope_dim == 256);
  CHECK(c->vocab_size == 262144);
  CHECK(c->attention_scale == 0.0625f);
  CHECK(c->embedding_scale == static_cast<float>(std::sqrt(640.0)));
  CHECK(c->layers[4] == LayerConfig{512, 10000.0f, 1.0f});
  CHECK(c->layers[5] == LayerConfig{0, 1000000.0f, 1.0f});
  CHECK(c->layers[17].window == 0);
  CHECK(c->tied_head);
}

}  // namespace shoal
