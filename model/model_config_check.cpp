#include "model/model_config_check.h"

#include <cmath>
#include <string>

#include "base/printable.h"

namespace shoal {
namespace {

Failure refuse(const std::string& what) { return fail(ErrorCode::Corrupt, what); }

struct SizeRule {
  const char* name;
  std::uint32_t value;
  std::uint32_t max;
};

struct NumberRule {
  const char* name;
  float value;
  float min;  // both inclusive
  float max;
};

Status check_number(const NumberRule& rule) {
  // Written so that NaN fails.
  if (rule.value >= rule.min && rule.value <= rule.max) return {};
  return refuse(std::string(rule.name) + " is " + std::to_string(rule.value) + ", expected " +
                std::to_string(rule.min) + " to " + std::to_string(rule.max));
}

Status check_sizes(const ModelConfig& c) {
  const SizeRule rules[] = {
      {"num_layers", c.num_layers, kMaxLayers},
      {"hidden_size", c.hidden_size, kMaxHiddenSize},
      {"num_heads", c.num_heads, kMaxHeads},
      {"intermediate_size", c.intermediate_size, kMaxIntermediateSize},
      {"num_kv_heads", c.num_kv_heads, kMaxHeads},
      {"head_dim", c.head_dim, kMaxHeadDim},
      {"rope_dim", c.rope_dim, kMaxHeadDim},
      {"vocab_size", c.vocab_size, kMaxVocabSize},
      {"max_seq_len", c.max_seq_len, kMaxSeqLen},
  };
  for (const SizeRule& rule : rules) {
    if (rule.value >= 1 && rule.value <= rule.max) continue;
    return refuse(std::string(rule.name) + " is " + std::to_string(rule.value) + ", expected 1 to " +
                  std::to_string(rule.max));
  }
  return {};
}

Status check_relations(const ModelConfig& c) {
  if (c.num_heads % c.num_kv_heads != 0) {
    return refuse("num_heads " + std::to_string(c.num_heads) + " is not a multiple of num_kv_heads " +
                  std::to_string(c.num_kv_heads));
  }
  if (c.num_heads * c.head_dim > kMaxHiddenSize) {
    return refuse("num_heads " + std::to_string(c.num_heads) + " times head_dim " +
                  std::to_string(c.head_dim) + " is above " + std::to_string(kMaxHiddenSize));
  }
  if (c.rope_dim % 2 != 0 || c.rope_dim > c.head_dim) {
    return refuse("rope_dim is " + std::to_string(c.rope_dim) + ", expected an even number up to head_dim " +
                  std::to_string(c.head_dim));
  }
  if (c.layers.size() != c.num_layers) {
    return refuse("settings for " + std::to_string(c.layers.size()) + " layers in a model of " +
                  std::to_string(c.num_layers));
  }
  if (c.name.size() > kMaxNameBytes || c.name != printable(c.name, kMaxNameBytes)) {
    return refuse("the name is not printable text of at most " + std::to_string(kMaxNameBytes) + " bytes");
  }
  return {};
}

}  // namespace

Status check_model_config(const ModelConfig& c) {
  if (Status sizes = check_sizes(c); !sizes) return sizes;
  if (Status relations = check_relations(c); !relations) return relations;
  const NumberRule numbers[] = {
      {"rms_norm_eps", c.rms_norm_eps, 1e-12f, 1.0f},
      {"attention_scale", c.attention_scale, 1e-6f, 16.0f},
      {"embedding_scale", c.embedding_scale, 1e-3f, 1024.0f},
  };
  for (const NumberRule& rule : numbers) {
    if (Status number = check_number(rule); !number) return number;
  }
  for (const LayerConfig& layer : c.layers) {
    if (layer.window > kMaxSeqLen) return refuse("a layer's window is " + std::to_string(layer.window));
    if (Status base = check_number({"a layer's rope_base", layer.rope_base, 1.0f, 1e12f}); !base) return base;
    if (Status scale = check_number({"a layer's rope_scale", layer.rope_scale, 1e-4f, kMaxRopeScale}); !scale)
      return scale;
  }
  return {};
}

}  // namespace shoal
