#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"
#include "base/result.h"
#include "kernels/kv_blocks.h"
#include "kernels/weight_type.h"

namespace shoal {

class GgufFile;

enum class Architecture : std::uint8_t { Llama, Qwen2, Qwen3, Gemma3 };
const char* name_of(Architecture architecture);

enum class Activation : std::uint8_t { Silu, GeluTanh };

// What one layer differs by. Everything else is the model's.
struct LayerConfig {
  std::uint32_t window = 0;  // sliding window in positions; 0: attends to all
  float rope_base = 10000.0f;
  float rope_scale = 1.0f;  // multiplies positions (linear scaling: 1 / factor)
};

// The shape of a model, from a GGUF file's metadata (never from its name). Sizes keep config.json's names.
struct ModelConfig {
  Architecture architecture = Architecture::Llama;
  std::string name;
  std::uint32_t num_layers = 0;
  std::uint32_t hidden_size = 0;
  std::uint32_t intermediate_size = 0;
  std::uint32_t num_heads = 0;
  std::uint32_t num_kv_heads = 0;
  std::uint32_t head_dim = 0;
  std::uint32_t rope_dim = 0;
  std::uint32_t vocab_size = 0;
  std::uint32_t max_seq_len = 0;
  float rms_norm_eps = 1e-5f;
  float attention_scale = 0;  // 1/sqrt(head_dim) unless the file says otherwise
  float embedding_scale = 1;  // sqrt(hidden_size) for gemma
  Activation activation = Activation::Silu;
  bool rope_interleaved = false;  // pairs (2i, 2i+1): the order GGUF's "llama" weights are permuted for
  bool qkv_bias = false;
  bool qk_norm = false;
  bool post_norms = false;  // gemma's norms after attention and after the feed-forward
  bool tied_head = false;   // the head is the embedding's matrix
  std::vector<LayerConfig> layers;

  // Units: 0 is the embedding, 1..num_layers the layers, num_layers+1 the head (output norm and matrix).
  std::uint32_t num_units() const { return num_layers + 2; }
  std::uint32_t head_unit() const { return num_layers + 1; }
  // f16 K and V.
  KvShape kv_shape(KvType type) const { return {num_kv_heads, head_dim, type}; }
  // f32 hop, one row.
  std::uint64_t activation_bytes() const { return 4ull * hidden_size; }

  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};
inline bool operator==(const LayerConfig& a, const LayerConfig& b) {
  return a.window == b.window && a.rope_base == b.rope_base && a.rope_scale == b.rope_scale;
}

// Reads and validates the metadata, and checks that every tensor the architecture needs is there with the
// right shape and a type we compute with; the error names what is missing, unsupported or of the wrong shape,
// and what would be supported.
Result<ModelConfig> read_model_config(const GgufFile& file);

// One tensor a unit needs, by its role. `file_name` is the GGUF tensor's name: a tied head's is the
// embedding's, and every layer names the one rope_freqs.weight where the file has it.
enum class TensorRole : std::uint8_t {
  Embedding,
  AttnNorm,
  Q,
  K,
  V,
  QBias,
  KBias,
  VBias,
  QNorm,
  KNorm,
  AttnOutput,
  PostAttnNorm,
  FfnNorm,
  Gate,
  Up,
  Down,
  PostFfnNorm,
  RopeFactors,
  OutputNorm,
  Head,
};
struct TensorSpec {
  TensorRole role;
  std::uint32_t unit = 0;
  std::string file_name;
  WeightType type = WeightType::F32;
  std::uint64_t rows = 0;  // vectors: 1
  std::uint64_t cols = 0;
  bool is_matrix = false;  // matrices are stored as panels; vectors as plain f32

  std::uint64_t gguf_bytes() const;
  std::uint64_t stored_bytes() const;  // panels or f32
};

// The tensors of a whole model in unit order: what a plan refers to and what a worker fetches.
std::vector<TensorSpec> tensor_specs(const ModelConfig& config, const GgufFile& file);

// Stored bytes of units [begin, end): a tied matrix that both ends use is counted once.
std::uint64_t shard_bytes(const std::vector<TensorSpec>& specs, Range units);

}  // namespace shoal
