#include "tests/support/tiny_model.h"

#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <utility>

#include "base/check.h"
#include "model/gguf_writer.h"
#include "model/tensor_specs.h"
#include "tests/support/quantise.h"
#include "tests/support/random.h"

namespace shoal {
namespace {

constexpr float kHeadSpread = 3.0f;   // standard deviation of the logits: some tokens are clearly likelier
constexpr float kQuerySpread = 1.5f;  // of the attention scores
constexpr float kNormSpread = 0.1f;
// Gemma's scaled embedding must not drown the layers, or every token repeats itself.
constexpr float kPostNormGain = 3.0f;

constexpr const char* kChatMl =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
constexpr const char* kTurns =
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{% set role = 'model' %}"
    "{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] + '<end_of_turn>\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}";

bool has_head_norms(Architecture a) { return a == Architecture::Qwen3 || a == Architecture::Gemma3; }

// Enough of the config for expected_tensors.
ModelConfig shape_of(const TinyModelOptions& o) {
  ModelConfig config;
  config.architecture = o.architecture;
  config.num_layers = o.num_layers;
  config.hidden_size = o.hidden_size;
  config.intermediate_size = o.intermediate_size;
  config.num_heads = o.num_heads;
  config.num_kv_heads = o.num_kv_heads;
  config.head_dim = o.head_dim;
  config.rope_dim = o.head_dim;
  config.vocab_size = o.vocab_size;
  config.qkv_bias = o.qkv_bias;
  config.qk_norm = has_head_norms(o.architecture);
  config.post_norms = o.architecture == Architecture::Gemma3;
  config.tied_head = o.tied_head;
  return config;
}

WeightType type_of(TensorRole role, const TinyWeightTypes& types) {
  switch (role) {
    case TensorRole::Embedding:
      return types.embedding;
    case TensorRole::Head:
      return types.head;
    case TensorRole::Q:
      return types.q;
    case TensorRole::K:
      return types.k;
    case TensorRole::V:
      return types.v;
    case TensorRole::AttnOutput:
      return types.attn_output;
    case TensorRole::Gate:
      return types.gate;
    case TensorRole::Up:
      return types.up;
    case TensorRole::Down:
      return types.down;
    default:
      return WeightType::F32;
  }
}

// Every tensor of the file once, with its type.
std::vector<TensorSpec> file_tensors(const TinyModelOptions& options) {
  std::vector<TensorSpec> tensors;
  std::set<std::string> seen;
  for (TensorSpec& spec : expected_tensors(shape_of(options), options.rope_factors)) {
    if (!seen.insert(spec.file_name).second) continue;
    spec.type = type_of(spec.role, options.types);
    tensors.push_back(std::move(spec));
  }
  return tensors;
}

// The spread that keeps activations near 1: weights by their fan-in, norms near 1.
float value_of(const TensorSpec& spec, std::size_t i, Random& random) {
  const float by_fan_in = 1.0f / std::sqrt(static_cast<float>(spec.cols));
  switch (spec.role) {
    case TensorRole::RopeFactors:
      return 1.0f + 7.0f * static_cast<float>(i) / static_cast<float>(spec.cols);
    case TensorRole::Embedding:
    case TensorRole::Head:
      return kHeadSpread * by_fan_in * random.normal();
    case TensorRole::PostAttnNorm:
    case TensorRole::PostFfnNorm:
      return kPostNormGain + kNormSpread * random.normal();
    case TensorRole::Q:
      return kQuerySpread * by_fan_in * random.normal();
    case TensorRole::QBias:
    case TensorRole::KBias:
    case TensorRole::VBias:
      return kNormSpread * random.normal();
    default:
      return spec.is_matrix ? by_fan_in * random.normal() : 1.0f + kNormSpread * random.normal();
  }
}

std::vector<std::byte> tensor_data(const TensorSpec& spec, std::uint64_t seed) {
  Random random(seed, spec.file_name);
  std::vector<float> values(spec.rows * spec.cols);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = value_of(spec, i, random);
  return quantise(spec.type, values);
}

void set_shape(GgufWriter& writer, const TinyModelOptions& o) {
  const std::string prefix = std::string(name_of(o.architecture)) + ".";
  const auto size = [&](const char* name, std::uint32_t value) {
    writer.set(prefix + name, GgufValue::u32(value));
  };
  const auto number = [&](const char* name, float value) {
    writer.set(prefix + name, GgufValue::f32(value));
  };
  size("block_count", o.num_layers);
  size("context_length", o.max_seq_len);
  size("embedding_length", o.hidden_size);
  size("feed_forward_length", o.intermediate_size);
  size("attention.head_count", o.num_heads);
  size("attention.head_count_kv", o.num_kv_heads);
  number("attention.layer_norm_rms_epsilon", 1e-6f);
  number("rope.freq_base", o.rope_base);
  if (has_head_norms(o.architecture) || o.head_dim * o.num_heads != o.hidden_size) {
    size("attention.key_length", o.head_dim);
    size("attention.value_length", o.head_dim);
  }
  if (o.architecture == Architecture::Llama) {
    size("vocab_size", o.vocab_size);
    size("rope.dimension_count", o.head_dim);
  }
  if (o.rope_scaling_factor != 1.0f) {
    writer.set(prefix + "rope.scaling.type", GgufValue::string("linear"));
    number("rope.scaling.factor", o.rope_scaling_factor);
  }
  if (o.architecture == Architecture::Gemma3) {
    size("attention.sliding_window", o.sliding_window);
    if (o.sliding_window_pattern != 0) size("attention.sliding_window_pattern", o.sliding_window_pattern);
  }
}

std::string make_temporary_file() {
  std::string path = (std::filesystem::temp_directory_path() / "shoal-tiny-XXXXXX").string();
  const int fd = ::mkstemp(path.data());
  SHOAL_CHECK(fd >= 0);
  ::close(fd);
  return path;
}

}  // namespace

TinyModelOptions TinyModelOptions::for_architecture(Architecture architecture) {
  TinyModelOptions options;
  options.architecture = architecture;
  switch (architecture) {
    case Architecture::Llama:
      break;
    case Architecture::Qwen2:
      options.qkv_bias = true;
      options.pre_tokenizer = "qwen2";
      options.rope_base = 1000000.0f;
      break;
    case Architecture::Qwen3:
      options.head_dim = 32;  // not hidden_size / num_heads, as in the real ones
      options.pre_tokenizer = "qwen2";
      options.rope_base = 1000000.0f;
      options.tied_head = false;
      break;
    case Architecture::Gemma3:
      options.num_kv_heads = 1;
      options.head_dim = 32;
      options.rope_base = 1000000.0f;
      options.tokenizer = TinyTokenizerKind::SentencePiece;
      break;
  }
  return options;
}

std::string problem_with(const TinyModelOptions& options) {
  if (options.vocab_size < kTinyMinVocab)
    return "vocab_size must be at least " + std::to_string(kTinyMinVocab);
  if (options.num_layers == 0 || options.num_heads == 0 || options.num_kv_heads == 0) return "a size is 0";
  if (options.num_heads % options.num_kv_heads != 0) return "num_heads must be a multiple of num_kv_heads";
  if (options.head_dim == 0 || options.head_dim % 2 != 0) return "head_dim must be even";
  for (const TensorSpec& spec : file_tensors(options)) {
    const std::uint32_t block = block_shape(spec.type).block_elements;
    if (spec.cols != 0 && spec.cols % block == 0) continue;
    return spec.file_name + " of type " + name_of(spec.type) + " needs columns in multiples of " +
           std::to_string(block) + ", not " + std::to_string(spec.cols);
  }
  return "";
}

GgufWriter tiny_model_writer(std::uint64_t seed, const TinyModelOptions& options) {
  const std::string problem = problem_with(options);
  if (!problem.empty()) check_failed(__FILE__, __LINE__, problem.c_str());
  GgufWriter writer;
  writer.set("general.architecture", GgufValue::string(name_of(options.architecture)));
  writer.set("general.type", GgufValue::string("model"));
  writer.set("general.name", GgufValue::string(options.name));
  set_shape(writer, options);
  make_tiny_tokenizer(options.tokenizer, options.vocab_size, options.pre_tokenizer).write_to(writer);
  const char* plain = options.tokenizer == TinyTokenizerKind::ByteLevelBpe ? kChatMl : kTurns;
  writer.set("tokenizer.chat_template", GgufValue::string(options.chat_template.value_or(plain)));
  for (const TensorSpec& spec : file_tensors(options)) {
    const std::uint64_t dims[] = {spec.cols, spec.rows};
    const std::size_t num_dims = spec.is_matrix ? 2 : 1;
    writer.add_tensor(spec.file_name, spec.type, std::span(dims).first(num_dims),
                      [=] { return tensor_data(spec, seed); });
  }
  return writer;
}

std::vector<std::byte> tiny_model_bytes(std::uint64_t seed, const TinyModelOptions& options) {
  return *tiny_model_writer(seed, options).to_bytes();
}

Status write_tiny_model(const std::string& path, std::uint64_t seed, const TinyModelOptions& options) {
  return tiny_model_writer(seed, options).write_file(path);
}

TinyModel::TinyModel(std::uint64_t seed, const TinyModelOptions& options) : path_(make_temporary_file()) {
  const Status written = write_tiny_model(path_, seed, options);
  if (!written) check_failed(__FILE__, __LINE__, written.error().message().c_str());
  Result<GgufFile> file = GgufFile::open(path_);
  if (!file) check_failed(__FILE__, __LINE__, file.error().message().c_str());
  file_.emplace(*std::move(file));
  Result<ModelConfig> config = read_model_config(*file_);
  if (!config) check_failed(__FILE__, __LINE__, config.error().message().c_str());
  config_ = *std::move(config);
}

TinyModel::TinyModel(TinyModel&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      file_(std::move(other.file_)),
      config_(std::move(other.config_)) {}

TinyModel::~TinyModel() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace shoal
