#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernels/weight_type.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "tests/support/tiny_tokenizer.h"

namespace shoal {

// How each kind of matrix is stored. K-quants need columns in multiples of 256, the other quantised types
// of 32.
struct TinyWeightTypes {
  WeightType embedding = WeightType::Q8_0;
  WeightType head = WeightType::Q8_0;  // when untied
  WeightType q = WeightType::Q4_0;
  WeightType k = WeightType::Q4_0;
  WeightType v = WeightType::Q8_0;
  WeightType attn_output = WeightType::Q4_0;
  WeightType gate = WeightType::Q4_1;
  WeightType up = WeightType::Q4_1;
  WeightType down = WeightType::Q5_1;

  static TinyWeightTypes all(WeightType type) {
    return {type, type, type, type, type, type, type, type, type};
  }
};

// The defaults are a llama of 100 KB or so; for_architecture gives each architecture's own habits.
struct TinyModelOptions {
  Architecture architecture = Architecture::Llama;
  std::string name = "Tiny model";
  std::uint32_t num_layers = 6;
  std::uint32_t hidden_size = 64;
  std::uint32_t num_heads = 4;
  std::uint32_t num_kv_heads = 2;
  std::uint32_t head_dim = 16;
  std::uint32_t intermediate_size = 128;
  std::uint32_t vocab_size = 600;  // >= kTinyMinVocab
  std::uint32_t max_seq_len = 4096;
  bool tied_head = true;
  bool qkv_bias = false;
  float rope_base = 10000.0f;
  bool rope_factors = false;                 // with a rope_freqs.weight tensor
  float rope_scaling_factor = 1.0f;          // other than 1: linear scaling
  std::uint32_t sliding_window = 8;          // gemma3
  std::uint32_t sliding_window_pattern = 0;  // gemma3; 0: the key is left out (six)
  TinyWeightTypes types;
  TinyTokenizerKind tokenizer = TinyTokenizerKind::ByteLevelBpe;
  std::string pre_tokenizer = "smollm";
  std::optional<std::string> chat_template;  // nullopt: a plain one that suits the tokenizer

  static TinyModelOptions for_architecture(Architecture architecture);
};

// Why a model with these options cannot be made; "" if it can.
std::string problem_with(const TinyModelOptions& options);

// A whole GGUF file of random, numerically sane weights: the same bytes for the same seed and options on
// every machine. A tensor's values depend on the seed and its name and shape alone, not on its type or on
// other tensors. The writer may be changed before it writes: tests break files that way.
GgufWriter tiny_model_writer(std::uint64_t seed, const TinyModelOptions& options = {});
std::vector<std::byte> tiny_model_bytes(std::uint64_t seed, const TinyModelOptions& options = {});
Status write_tiny_model(const std::string& path, std::uint64_t seed, const TinyModelOptions& options = {});

// The same as a temporary file, opened; removed with the object.
class TinyModel {
 public:
  explicit TinyModel(std::uint64_t seed, const TinyModelOptions& options = {});
  TinyModel(TinyModel&& other) noexcept;
  TinyModel& operator=(TinyModel&&) = delete;
  ~TinyModel();

  const std::string& path() const { return path_; }
  const GgufFile& file() const { return *file_; }
  const ModelConfig& config() const { return config_; }
  std::vector<TensorSpec> specs() const { return tensor_specs(config_, *file_); }

 private:
  std::string path_;
  std::optional<GgufFile> file_;
  ModelConfig config_;
};

}  // namespace shoal
