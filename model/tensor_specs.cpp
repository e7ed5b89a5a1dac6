#include "model/tensor_specs.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/printable.h"
#include "kernels/panels.h"
#include "model/gguf.h"
#include "model/gguf_types.h"

namespace shoal {
namespace {

constexpr const char* kRopeFactors = "rope_freqs.weight";
constexpr const char* kEmbedding = "token_embd.weight";
constexpr double kMaxAngle = 1u << 30;  // where sin_f64 and cos_f64 end

// Collects one unit's tensors.
class UnitTensors {
 public:
  UnitTensors(std::vector<TensorSpec>& specs, std::uint32_t unit, std::string prefix)
      : specs_(specs), unit_(unit), prefix_(std::move(prefix)) {}

  void matrix(TensorRole role, const char* name, std::uint64_t rows, std::uint64_t cols) {
    add(role, name, rows, cols, true);
  }
  void vector(TensorRole role, const char* name, std::uint64_t size) { add(role, name, 1, size, false); }

 private:
  void add(TensorRole role, const char* name, std::uint64_t rows, std::uint64_t cols, bool is_matrix) {
    specs_.push_back({role, unit_, prefix_ + name, WeightType::F32, rows, cols, is_matrix});
  }

  std::vector<TensorSpec>& specs_;
  std::uint32_t unit_;
  std::string prefix_;
};

void add_layer(std::vector<TensorSpec>& specs, const ModelConfig& c, std::uint32_t layer) {
  UnitTensors unit(specs, layer + 1, "blk." + std::to_string(layer) + ".");
  const std::uint64_t q_size = std::uint64_t{c.num_heads} * c.head_dim;
  const std::uint64_t kv_size = std::uint64_t{c.num_kv_heads} * c.head_dim;
  unit.vector(TensorRole::AttnNorm, "attn_norm.weight", c.hidden_size);
  unit.matrix(TensorRole::Q, "attn_q.weight", q_size, c.hidden_size);
  unit.matrix(TensorRole::K, "attn_k.weight", kv_size, c.hidden_size);
  unit.matrix(TensorRole::V, "attn_v.weight", kv_size, c.hidden_size);
  if (c.qkv_bias) {
    unit.vector(TensorRole::QBias, "attn_q.bias", q_size);
    unit.vector(TensorRole::KBias, "attn_k.bias", kv_size);
    unit.vector(TensorRole::VBias, "attn_v.bias", kv_size);
  }
  if (c.qk_norm) {
    unit.vector(TensorRole::QNorm, "attn_q_norm.weight", c.head_dim);
    unit.vector(TensorRole::KNorm, "attn_k_norm.weight", c.head_dim);
  }
  unit.matrix(TensorRole::AttnOutput, "attn_output.weight", c.hidden_size, q_size);
  if (c.post_norms) unit.vector(TensorRole::PostAttnNorm, "post_attention_norm.weight", c.hidden_size);
  unit.vector(TensorRole::FfnNorm, "ffn_norm.weight", c.hidden_size);
  unit.matrix(TensorRole::Gate, "ffn_gate.weight", c.intermediate_size, c.hidden_size);
  unit.matrix(TensorRole::Up, "ffn_up.weight", c.intermediate_size, c.hidden_size);
  unit.matrix(TensorRole::Down, "ffn_down.weight", c.hidden_size, c.intermediate_size);
  if (c.post_norms) unit.vector(TensorRole::PostFfnNorm, "post_ffw_norm.weight", c.hidden_size);
}

std::string shape_text(std::uint64_t cols, std::uint64_t rows) {
  return rows == 1 ? std::to_string(cols) : std::to_string(cols) + " x " + std::to_string(rows);
}

std::string shape_of(const GgufTensor& tensor) {
  std::string text = std::to_string(tensor.dims[0]);
  for (std::uint32_t d = 1; d < tensor.num_dims; ++d) text += " x " + std::to_string(tensor.dims[d]);
  return text;
}

Status check_tensor(const TensorSpec& spec, const GgufFile& file) {
  const GgufTensor* tensor = file.find_tensor(spec.file_name);
  if (tensor == nullptr) {
    return fail(ErrorCode::Corrupt, "the file has no tensor " + spec.file_name + " (" +
                                        shape_text(spec.cols, spec.rows) +
                                        "), which this architecture needs");
  }
  if (!tensor->type) {
    return fail(ErrorCode::Unsupported, "tensor " + spec.file_name + " has the type " +
                                            tensor_type_name(tensor->gguf_type) + "; supported are " +
                                            supported_tensor_types());
  }
  if (tensor->cols() != spec.cols || tensor->dims[1] != spec.rows || tensor->dims[2] != 1 ||
      tensor->dims[3] != 1) {
    return fail(ErrorCode::Corrupt, "tensor " + spec.file_name + " is " + shape_of(*tensor) + ", expected " +
                                        shape_text(spec.cols, spec.rows) + " from the metadata's sizes");
  }
  if (!spec.is_matrix && *tensor->type != WeightType::F32) {
    return fail(ErrorCode::Unsupported, "tensor " + spec.file_name + " has the type " +
                                            name_of(*tensor->type) +
                                            "; for norms, biases and factors F32 is supported");
  }
  return {};
}

// Factors divide frequencies: each must be a number that keeps every angle where sines are exact.
Status check_rope_factors(const ModelConfig& config, const GgufFile& file) {
  const GgufTensor* tensor = file.find_tensor(kRopeFactors);
  if (tensor == nullptr) return {};
  float scale = 0;
  for (const LayerConfig& layer : config.layers) scale = std::max(scale, layer.rope_scale);
  const Bytes data = file.data(*tensor);
  for (std::size_t i = 0; i < config.rope_dim / 2; ++i) {
    const auto factor = load<float>(data.data() + i * sizeof(float));
    const double angle =
        static_cast<double>(config.max_seq_len) * static_cast<double>(scale) / static_cast<double>(factor);
    if (std::isfinite(factor) && factor > 0 && angle < kMaxAngle) continue;
    return fail(ErrorCode::Corrupt, std::string(kRopeFactors) + " has the factor " + std::to_string(factor) +
                                        " at " + std::to_string(i) +
                                        ", expected a positive number that is not tiny");
  }
  return {};
}

Status check_nothing_left_out(const std::vector<TensorSpec>& specs, const ModelConfig& config,
                              const GgufFile& file) {
  std::set<std::string_view> known;
  for (const TensorSpec& spec : specs) known.insert(spec.file_name);
  for (const GgufTensor& tensor : file.tensors()) {
    if (known.contains(tensor.name)) continue;
    return fail(ErrorCode::Unsupported, "tensor " + in_quotes(tensor.name) +
                                            " has no part in the architecture " +
                                            name_of(config.architecture) + " as it is supported here");
  }
  return {};
}

}  // namespace

std::uint64_t TensorSpec::gguf_bytes() const { return rows * gguf_row_bytes(type, cols); }

std::uint64_t TensorSpec::stored_bytes() const {
  return is_matrix ? panel_matrix_bytes(type, rows, cols) : cols * sizeof(float);
}

std::vector<TensorSpec> expected_tensors(const ModelConfig& config, bool rope_factors) {
  std::vector<TensorSpec> specs;
  UnitTensors embedding(specs, 0, "");
  embedding.matrix(TensorRole::Embedding, kEmbedding, config.vocab_size, config.hidden_size);
  for (std::uint32_t layer = 0; layer < config.num_layers; ++layer) {
    add_layer(specs, config, layer);
    if (rope_factors)
      UnitTensors(specs, layer + 1, "").vector(TensorRole::RopeFactors, kRopeFactors, config.rope_dim / 2);
  }
  UnitTensors head(specs, config.head_unit(), "");
  head.vector(TensorRole::OutputNorm, "output_norm.weight", config.hidden_size);
  head.matrix(TensorRole::Head, config.tied_head ? kEmbedding : "output.weight", config.vocab_size,
              config.hidden_size);
  return specs;
}

Status check_tensors(const ModelConfig& config, const GgufFile& file) {
  const std::vector<TensorSpec> specs = expected_tensors(config, file.find_tensor(kRopeFactors) != nullptr);
  for (const TensorSpec& spec : specs) {
    if (Status tensor = check_tensor(spec, file); !tensor) return tensor;
  }
  if (Status factors = check_rope_factors(config, file); !factors) return factors;
  return check_nothing_left_out(specs, config, file);
}

std::vector<TensorSpec> tensor_specs(const ModelConfig& config, const GgufFile& file) {
  std::vector<TensorSpec> specs = expected_tensors(config, file.find_tensor(kRopeFactors) != nullptr);
  for (TensorSpec& spec : specs) {
    const GgufTensor* tensor = file.find_tensor(spec.file_name);
    SHOAL_CHECK(tensor != nullptr && tensor->type);  // read_model_config found it so
    spec.type = *tensor->type;
  }
  return specs;
}

std::uint64_t shard_bytes(const std::vector<TensorSpec>& specs, Range units) {
  std::set<std::string_view> counted;  // a tied head and shared rope factors lie in memory once
  std::uint64_t total = 0;
  for (const TensorSpec& spec : specs) {
    if (units.contains(spec.unit) && counted.insert(spec.file_name).second) total += spec.stored_bytes();
  }
  return total;
}

}  // namespace shoal
