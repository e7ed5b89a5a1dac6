// Writes a model of the 1.5B class with random weights, a size that nobody tuned for:
//   make_random_model OUT.gguf [--layers N] [--vocab N] [--seed N]
// qwen2: 28 layers, hidden 1536, 12 heads over 2, feed-forward 8960, 151,936 tokens, tied head. Types as
// llama.cpp's Q4_K_M mixes them. Every value is finite and small enough that hidden states stay near 1; the
// tokenizer is whole.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <set>
#include <string>
#include <string_view>

#include "kernels/half.h"
#include "model/gguf_writer.h"
#include "model/tensor_specs.h"
#include "tests/support/random.h"
#include "tests/support/tiny_tokenizer.h"

namespace shoal {
namespace {

constexpr std::size_t kSuperBlock = 256;  // values of a Q4_K or Q6_K block

struct Request {
  std::string path;
  std::uint64_t seed = 1;
  std::uint32_t layers = 28;
  std::uint32_t vocab = 151'936;
};

ModelConfig config_of(const Request& request) {
  ModelConfig config;
  config.architecture = Architecture::Qwen2;
  config.num_layers = request.layers;
  config.hidden_size = 1536;
  config.intermediate_size = 8960;
  config.num_heads = 12;
  config.num_kv_heads = 2;
  config.head_dim = 128;
  config.rope_dim = 128;
  config.vocab_size = request.vocab;
  config.max_seq_len = 32'768;
  config.qkv_bias = true;
  config.tied_head = true;
  return config;
}

// Q4_K_M spends more bits on the first and last eighth of the layers and on every third between.
bool takes_more_bits(std::uint32_t layer, std::uint32_t num_layers) {
  const std::uint32_t eighth = num_layers / 8;
  return layer < eighth || layer >= 7 * num_layers / 8 || (layer - eighth) % 3 == 2;
}

WeightType type_of(const TensorSpec& spec, std::uint32_t num_layers) {
  if (!spec.is_matrix) return WeightType::F32;
  if (spec.role == TensorRole::Embedding || spec.role == TensorRole::Head) return WeightType::Q6_K;
  const bool is_varied = spec.role == TensorRole::V || spec.role == TensorRole::Down;
  return is_varied && takes_more_bits(spec.unit - 1, num_layers) ? WeightType::Q6_K : WeightType::Q4_K;
}

void put_f16(std::byte* at, float value) {
  const std::uint16_t bits = f16_from_float(value);
  std::memcpy(at, &bits, sizeof bits);
}

void fill_random(std::span<std::byte> bytes, Random& random) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    const std::uint64_t word = random.next();
    std::memcpy(bytes.data() + at, &word, std::min(sizeof word, bytes.size() - at));
  }
}

// d, dmin: f16; eight sub-blocks' scales and mins of 6 bits in 12 bytes; 256 codes of 4 bits. Each min equals
// its scale and dmin is 7.5 d, so that a value is d * scale * (code - 7.5).
void fill_q4_k(std::byte* block, float spread, Random& random) {
  constexpr float kCodeSpread = 4.61f;  // of uniform codes
  constexpr float kMeanScale = 47.5f;   // of 32..63
  const float d = spread / (kCodeSpread * kMeanScale);
  put_f16(block, d);
  put_f16(block + 2, 7.5f * d);
  for (std::size_t j = 0; j < 4; ++j) {
    const auto low = static_cast<unsigned>(32 + random.below(32));  // of sub-block j
    const auto high =
        static_cast<unsigned>(32 + random.below(32));  // of sub-block j + 4: its upper two bits stand here
    block[4 + j] = block[8 + j] = static_cast<std::byte>(low | (high >> 4) << 6);
    block[12 + j] = static_cast<std::byte>((high & 15) | (high & 15) << 4);
  }
  fill_random({block + 16, kSuperBlock / 2}, random);
}

// 256 codes of 6 bits in two parts, 16 signed scales, d: f16. A value is d * scale * (code - 32).
void fill_q6_k(std::byte* block, float spread, Random& random) {
  constexpr float kCodeSpread = 18.5f;
  constexpr std::size_t kCodeBytes = kSuperBlock / 2 + kSuperBlock / 4;
  constexpr std::size_t kScales = 16;
  constexpr float kMeanScale = 47.5f;
  fill_random({block, kCodeBytes}, random);
  for (std::size_t i = 0; i < kScales; ++i) {
    const int scale = 32 + static_cast<int>(random.below(32));
    block[kCodeBytes + i] = static_cast<std::byte>(random.below(2) ? scale : -scale);
  }
  put_f16(block + kCodeBytes + kScales, spread / (kCodeSpread * kMeanScale));
}

std::vector<std::byte> vector_data(const TensorSpec& spec, Random& random) {
  std::vector<float> values(spec.cols);
  const bool is_bias =
      spec.role == TensorRole::QBias || spec.role == TensorRole::KBias || spec.role == TensorRole::VBias;
  for (float& value : values) value = (is_bias ? 0.0f : 1.0f) + 0.1f * random.normal();
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<std::byte> tensor_data(const TensorSpec& spec, std::uint64_t seed) {
  Random random(seed, spec.file_name);
  if (!spec.is_matrix) return vector_data(spec, random);
  const float spread = 1.0f / std::sqrt(static_cast<float>(spec.cols));
  const std::size_t block_bytes = block_shape(spec.type).block_bytes;
  std::vector<std::byte> bytes(spec.gguf_bytes());
  for (std::size_t at = 0; at < bytes.size(); at += block_bytes)
    (spec.type == WeightType::Q6_K ? fill_q6_k : fill_q4_k)(bytes.data() + at, spread, random);
  return bytes;
}

void set_metadata(GgufWriter& writer, const ModelConfig& config) {
  const auto size = [&](const char* key, std::uint32_t value) {
    writer.set(std::string("qwen2.") + key, GgufValue::u32(value));
  };
  writer.set("general.architecture", GgufValue::string("qwen2"));
  writer.set("general.type", GgufValue::string("model"));
  writer.set("general.name", GgufValue::string("Random 1.5B"));
  size("block_count", config.num_layers);
  size("context_length", config.max_seq_len);
  size("embedding_length", config.hidden_size);
  size("feed_forward_length", config.intermediate_size);
  size("attention.head_count", config.num_heads);
  size("attention.head_count_kv", config.num_kv_heads);
  writer.set("qwen2.attention.layer_norm_rms_epsilon", GgufValue::f32(1e-6f));
  writer.set("qwen2.rope.freq_base", GgufValue::f32(1e6f));
  writer.set("general.file_type", GgufValue::u32(15));  // llama.cpp's number of Q4_K_M
  make_tiny_tokenizer(TinyTokenizerKind::ByteLevelBpe, config.vocab_size, "qwen2").write_to(writer);
}

Status write_model(const Request& request) {
  const ModelConfig config = config_of(request);
  GgufWriter writer;
  set_metadata(writer, config);
  std::set<std::string> added;
  for (TensorSpec spec : expected_tensors(config, /*rope_factors=*/false)) {
    if (!added.insert(spec.file_name).second) continue;
    spec.type = type_of(spec, config.num_layers);
    const std::uint64_t dims[] = {spec.cols, spec.rows};
    writer.add_tensor(spec.file_name, spec.type, std::span(dims).first(spec.is_matrix ? 2 : 1),
                      [spec, seed = request.seed] { return tensor_data(spec, seed); });
  }
  return writer.write_file(request.path);
}

template <typename Number>
bool read_number(std::string_view text, Number low, Number high, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out >= low && out <= high;
}

bool parse(int argc, char** argv, Request& request) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const std::string_view value = i + 1 < argc ? argv[i + 1] : "";
    if (!argument.starts_with("--")) {
      if (!request.path.empty()) return false;
      request.path = argument;
      continue;
    }
    const bool ok = argument == "--layers"  ? read_number(value, 1u, 1000u, request.layers)
                    : argument == "--vocab" ? read_number(value, kTinyMinVocab, 1u << 20, request.vocab)
                                            : argument == "--seed" && read_number(value, std::uint64_t{0},
                                                                                  UINT64_MAX, request.seed);
    if (!ok) return false;
    ++i;
  }
  return !request.path.empty();
}

int run(int argc, char** argv) {
  Request request;
  if (!parse(argc, argv, request)) {
    std::fprintf(stderr, "usage: make_random_model OUT.gguf [--layers N] [--vocab N] [--seed N]\n");
    return 2;
  }
  const Status written = write_model(request);
  if (written) return 0;
  std::fprintf(stderr, "make_random_model: %s\n", written.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) { return shoal::run(argc, argv); }
