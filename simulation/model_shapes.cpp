#include "simulation/model_shapes.h"

#include <cmath>
#include <span>

#include "model/model_config_codec.h"
#include "model/sha256.h"
#include "model/tensor_specs.h"

namespace shoal {
namespace {

// Sizes as in each model's config.json; types as in the usual 4-bit files (a K-quant's columns come in 256s,
// so that Gemma's 640 take Q5_0). `embedding` is the head's type too where both are one matrix.
struct Shape {
  const char* name;
  Architecture architecture;
  std::uint32_t num_layers, hidden_size, intermediate_size, num_heads, num_kv_heads, head_dim, vocab_size;
  bool tied_head;
  bool qkv_bias;
  std::uint32_t window, window_pattern;  // gemma: every window_pattern-th layer attends to all
  WeightType layers, embedding;
};

constexpr Shape kShapes[] = {
    {"smollm2-135m", Architecture::Llama, 30, 576, 1536, 9, 3, 64, 49152, true, false, 0, 0, WeightType::Q4_1,
     WeightType::Q8_0},
    {"gemma3-270m", Architecture::Gemma3, 18, 640, 2048, 4, 1, 256, 262144, true, false, 512, 6,
     WeightType::Q5_0, WeightType::Q8_0},
    {"llama3.2-1b", Architecture::Llama, 16, 2048, 8192, 32, 8, 64, 128256, true, false, 0, 0,
     WeightType::Q4_K, WeightType::Q6_K},
    {"llama3.2-3b", Architecture::Llama, 28, 3072, 8192, 24, 8, 128, 128256, true, false, 0, 0,
     WeightType::Q4_K, WeightType::Q6_K},
    {"qwen2.5-7b", Architecture::Qwen2, 28, 3584, 18944, 28, 4, 128, 152064, false, true, 0, 0,
     WeightType::Q4_K, WeightType::Q6_K},
};

ModelConfig config_of(const Shape& shape) {
  ModelConfig config;
  config.architecture = shape.architecture;
  config.name = shape.name;
  config.num_layers = shape.num_layers;
  config.hidden_size = shape.hidden_size;
  config.intermediate_size = shape.intermediate_size;
  config.num_heads = shape.num_heads;
  config.num_kv_heads = shape.num_kv_heads;
  config.head_dim = config.rope_dim = shape.head_dim;
  config.vocab_size = shape.vocab_size;
  config.max_seq_len = 8192;
  config.attention_scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  config.qkv_bias = shape.qkv_bias;
  config.qk_norm = config.post_norms = shape.architecture == Architecture::Gemma3;
  config.tied_head = shape.tied_head;
  config.layers.resize(shape.num_layers);
  for (std::uint32_t layer = 0; layer < shape.num_layers; ++layer) {
    const bool is_local = shape.window_pattern > 0 && (layer + 1) % shape.window_pattern != 0;
    config.layers[layer].window = is_local ? shape.window : 0;
  }
  return config;
}

Sha256 name_hash(const std::string& name) { return sha256_of(std::as_bytes(std::span(name))); }

}  // namespace

std::vector<std::string> known_shapes() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

std::optional<ServedModel> model_of_shape(const std::string& name) {
  for (const Shape& shape : kShapes) {
    if (name != shape.name) continue;
    ServedModel model;
    model.id = name;
    model.hash = name_hash(name);
    model.config = config_of(shape);
    model.config_bytes = serialise(model.config);
    model.specs = expected_tensors(model.config, /*rope_factors=*/false);
    for (TensorSpec& spec : model.specs) {
      const bool is_end = spec.role == TensorRole::Embedding || spec.role == TensorRole::Head;
      if (spec.is_matrix) spec.type = is_end ? shape.embedding : shape.layers;
      model.tensors.push_back({.role = static_cast<std::uint8_t>(spec.role),
                               .unit = spec.unit,
                               .name = spec.file_name,
                               .type = static_cast<std::uint32_t>(spec.type),
                               .rows = spec.rows,
                               .cols = spec.cols,
                               .is_matrix = spec.is_matrix,
                               .sha256 = name_hash(spec.file_name)});
    }
    return model;
  }
  return std::nullopt;
}

}  // namespace shoal
