#include "model/model_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "base/printable.h"
#include "model/gguf.h"
#include "model/model_config_check.h"
#include "model/tensor_specs.h"

namespace shoal {
namespace {

constexpr std::array kArchitectures{Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3,
                                    Architecture::Gemma3};
constexpr float kDefaultRopeBase = 10000.0f;
constexpr std::uint32_t kGemmaPattern = 6;  // five local layers, then one global
constexpr std::uint32_t kGemma27bLayers = 62;

std::string supported_architectures() {
  std::string names;
  for (const Architecture architecture : kArchitectures) {
    if (!names.empty()) names += ", ";
    names += name_of(architecture);
  }
  return names;
}

std::optional<Architecture> architecture_named(std::string_view name) {
  for (const Architecture architecture : kArchitectures) {
    if (name == name_of(architecture)) return architecture;
  }
  return std::nullopt;
}

// Reads the keys "ARCHITECTURE.name" and keeps the first failure; after one, every read gives its least
// value.
class Metadata {
 public:
  Metadata(const GgufFile& file, Architecture architecture)
      : file_(file), prefix_(std::string(name_of(architecture)) + ".") {}

  bool ok() const { return !error_; }
  Failure failure() const { return fail(*error_); }

  bool has(const char* name) const { return file_.has(key(name)); }
  std::string key(const char* name) const { return prefix_ + name; }

  void refuse(ErrorCode code, const std::string& what) {
    if (!error_) error_.emplace(code, file_.path() + ": " + what);
  }

  // A whole number up to 2^32; `fallback` where the key is absent, an error without one.
  std::uint32_t size(const char* name, std::optional<std::uint32_t> fallback = std::nullopt) {
    if (!has(name)) return absent(name, fallback, 0u);
    return as_size(name, file_.find_int(key(name)));
  }

  // The same, for keys that may be one number or one per layer, which must then agree.
  std::uint32_t uniform_size(const char* name, std::uint32_t num_layers,
                             std::optional<std::uint32_t> fallback = std::nullopt);

  float number(const char* name, std::optional<float> fallback = std::nullopt) {
    if (!has(name)) return absent(name, fallback, 0.0f);
    const std::optional<double> value = file_.find_float(key(name));
    if (!value) refuse(ErrorCode::Corrupt, key(name) + " is not a number");
    return static_cast<float>(value.value_or(0));
  }

  std::string_view text(const char* name, std::string_view fallback) {
    if (!has(name)) return fallback;
    const std::optional<std::string_view> value = file_.find_string(key(name));
    if (!value) refuse(ErrorCode::Corrupt, key(name) + " is not a string");
    return value.value_or(fallback);
  }

  std::optional<std::vector<std::int64_t>> ints(const char* name) const { return file_.find_ints(key(name)); }
  std::optional<std::vector<bool>> bools(const char* name) const { return file_.find_bools(key(name)); }
  std::optional<bool> boolean(const char* name) const { return file_.find_bool(key(name)); }

 private:
  template <typename T>
  T absent(const char* name, std::optional<T> fallback, T least) {
    if (!fallback)
      refuse(ErrorCode::Corrupt, "the metadata has no " + key(name) + ", which this architecture needs");
    return fallback.value_or(least);
  }

  std::uint32_t as_size(const char* name, std::optional<std::int64_t> value) {
    if (value && *value >= 0 && *value <= std::numeric_limits<std::uint32_t>::max())
      return static_cast<std::uint32_t>(*value);
    refuse(ErrorCode::Corrupt,
           key(name) + (value ? " is " + std::to_string(*value) : std::string(" is not a whole number")) +
               ", expected 0 to 4294967295");
    return 0;
  }

  const GgufFile& file_;
  std::string prefix_;
  std::optional<Error> error_;
};

std::uint32_t Metadata::uniform_size(const char* name, std::uint32_t num_layers,
                                     std::optional<std::uint32_t> fallback) {
  const std::optional<std::vector<std::int64_t>> each = ints(name);
  if (!each) return size(name, fallback);
  if (each->size() != num_layers || each->empty()) {
    refuse(ErrorCode::Corrupt, key(name) + " has " + std::to_string(each->size()) + " numbers for " +
                                   std::to_string(num_layers) + " layers");
    return 0;
  }
  const auto other =
      std::find_if(each->begin(), each->end(), [&](std::int64_t value) { return value != each->front(); });
  if (other != each->end()) {
    refuse(ErrorCode::Unsupported, key(name) + " is " + std::to_string(each->front()) + " in layer 0 and " +
                                       std::to_string(*other) + " in layer " +
                                       std::to_string(other - each->begin()) +
                                       "; supported are models with the same number in every layer");
  }
  return as_size(name, each->front());
}

void read_sizes(Metadata& meta, const GgufFile& file, ModelConfig& config) {
  config.num_layers = meta.size("block_count");
  config.hidden_size = meta.size("embedding_length");
  config.intermediate_size = meta.uniform_size("feed_forward_length", config.num_layers);
  config.num_heads = meta.uniform_size("attention.head_count", config.num_layers);
  config.num_kv_heads = meta.uniform_size("attention.head_count_kv", config.num_layers, config.num_heads);
  config.max_seq_len = meta.size("context_length");
  if (!meta.ok()) return;
  if (config.num_heads == 0)
    return meta.refuse(ErrorCode::Corrupt, meta.key("attention.head_count") + " is 0");
  const bool divides = config.hidden_size % config.num_heads == 0;
  config.head_dim = meta.size("attention.key_length",
                              divides ? std::optional(config.hidden_size / config.num_heads) : std::nullopt);
  if (meta.size("attention.value_length", config.head_dim) != config.head_dim) {
    meta.refuse(ErrorCode::Unsupported, meta.key("attention.value_length") + " differs from " +
                                            meta.key("attention.key_length") +
                                            "; supported are models where they are equal");
  }
  config.rope_dim = meta.size("rope.dimension_count", config.head_dim);
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding == nullptr)
    return meta.refuse(ErrorCode::Corrupt, "the file has no tensor token_embd.weight");
  // Beyond 32 bits the vocabulary is refused as too large either way.
  config.vocab_size = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(embedding->rows(), std::numeric_limits<std::uint32_t>::max()));
}

// The embedding's rows say how many tokens there are; what else speaks of it must agree, or ids would fall
// outside.
void check_vocab(Metadata& meta, const GgufFile& file, const ModelConfig& config) {
  const std::uint32_t stated = meta.size("vocab_size", config.vocab_size);
  const std::uint64_t tokens = file.array_size("tokenizer.ggml.tokens").value_or(0);
  if (stated != config.vocab_size) {
    meta.refuse(ErrorCode::Corrupt, meta.key("vocab_size") + " is " + std::to_string(stated) +
                                        " but token_embd.weight has " + std::to_string(config.vocab_size) +
                                        " rows");
  }
  if (tokens > config.vocab_size) {
    meta.refuse(ErrorCode::Corrupt, "tokenizer.ggml.tokens has " + std::to_string(tokens) +
                                        " entries but token_embd.weight only " +
                                        std::to_string(config.vocab_size) + " rows");
  }
}

void read_scales(Metadata& meta, ModelConfig& config) {
  config.rms_norm_eps = meta.number("attention.layer_norm_rms_epsilon");
  double per_head = config.head_dim;
  // Gemma 3 27B alone scales queries by hidden_size / num_heads, and its files carry no key for it.
  if (config.architecture == Architecture::Gemma3 && config.num_layers == kGemma27bLayers) {
    per_head = static_cast<double>(config.hidden_size) / config.num_heads;
  }
  config.attention_scale = meta.number("attention.scale", static_cast<float>(1.0 / std::sqrt(per_head)));
  if (config.architecture == Architecture::Gemma3) {
    config.embedding_scale = static_cast<float>(std::sqrt(static_cast<double>(config.hidden_size)));
    config.activation = Activation::GeluTanh;
  }
}

// What multiplies positions in the layers that attend to everything.
float read_rope_scale(Metadata& meta) {
  const std::string_view type = meta.text("rope.scaling.type", "none");
  if (type == "none") {
    if (meta.number("rope.scaling.factor", 1.0f) != 1.0f) {
      meta.refuse(ErrorCode::Corrupt, meta.key("rope.scaling.factor") + " is given without " +
                                          meta.key("rope.scaling.type") +
                                          " \"linear\", so what it means is open");
    }
    return 1.0f;
  }
  if (type != "linear") {
    meta.refuse(ErrorCode::Unsupported,
                meta.key("rope.scaling.type") + " is " + in_quotes(type) + "; supported are none, linear");
    return 1.0f;
  }
  const float factor = meta.number("rope.scaling.factor");
  if (!(factor > 0)) meta.refuse(ErrorCode::Corrupt, meta.key("rope.scaling.factor") + " is not above 0");
  return meta.ok() ? static_cast<float>(1.0 / static_cast<double>(factor)) : 1.0f;
}

// Which layers attend through the sliding window. The key holds one flag per layer, or n: every n-th layer is
// global.
std::vector<bool> read_local_layers(Metadata& meta, const ModelConfig& config) {
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  std::vector<bool> local(config.num_layers, false);
  if (config.architecture != Architecture::Gemma3) return local;
  const std::optional<std::vector<bool>> flags = meta.bools(kPattern);
  if (flags && flags->size() == local.size()) return *flags;
  if (flags) {
    meta.refuse(ErrorCode::Corrupt, meta.key(kPattern) + " has " + std::to_string(flags->size()) +
                                        " flags for " + std::to_string(config.num_layers) + " layers");
    return local;
  }
  const std::uint32_t period = meta.size(kPattern, kGemmaPattern);
  for (std::uint32_t layer = 0; layer < config.num_layers; ++layer) {
    local[layer] = period == 0 || layer % period != period - 1;
  }
  return local;
}

void read_layers(Metadata& meta, ModelConfig& config) {
  LayerConfig global;
  global.rope_base = meta.number("rope.freq_base", kDefaultRopeBase);
  global.rope_scale = read_rope_scale(meta);
  const std::vector<bool> is_local = read_local_layers(meta, config);
  LayerConfig local;
  if (config.architecture == Architecture::Gemma3) {
    local.window = meta.size("attention.sliding_window", 0u);
    local.rope_base = meta.number("rope.freq_base_swa", kDefaultRopeBase);
  }
  config.layers.reserve(config.num_layers);
  for (const bool here : is_local) config.layers.push_back(here ? local : global);
}

// What the tensors say: an optional part is there when layer 0 has it, and then every layer must
// (check_tensors).
void read_parts(const GgufFile& file, ModelConfig& config) {
  const auto has = [&](const char* name) { return file.find_tensor(name) != nullptr; };
  const bool always_normed =
      config.architecture == Architecture::Qwen3 || config.architecture == Architecture::Gemma3;
  config.rope_interleaved = config.architecture == Architecture::Llama;
  config.qkv_bias = has("blk.0.attn_q.bias");
  config.qk_norm = always_normed || has("blk.0.attn_q_norm.weight");
  config.post_norms = config.architecture == Architecture::Gemma3;
  config.tied_head = !has("output.weight");
}

// Settings that would change the result and that no architecture here has.
void refuse_other_settings(Metadata& meta, const GgufFile& file) {
  if (meta.size("expert_count", 0u) != 0) {
    meta.refuse(ErrorCode::Unsupported,
                meta.key("expert_count") + " is not 0: mixtures of experts are not supported");
  }
  for (const char* name : {"attn_logit_softcapping", "final_logit_softcapping", "logit_scale"}) {
    if (meta.number(name, 0.0f) == 0.0f) continue;
    meta.refuse(ErrorCode::Unsupported, meta.key(name) + " is set, which is not supported");
  }
  if (!meta.boolean("attention.causal").value_or(true)) {
    meta.refuse(ErrorCode::Unsupported,
                meta.key("attention.causal") + " is false: only causal language models are supported");
  }
  if (file.find_int("split.count").value_or(1) > 1) {
    meta.refuse(ErrorCode::Unsupported,
                "the model is split over several files; join them into one (gguf-split --merge)");
  }
  const std::string_view type = file.find_string("general.type").value_or("model");
  if (type != "model")
    meta.refuse(ErrorCode::Unsupported, "general.type is " + in_quotes(type) + ", expected 'model'");
}

std::string model_name(const GgufFile& file) {
  for (const char* key : {"general.name", "general.basename"}) {
    const std::optional<std::string_view> name = file.find_string(key);
    if (name && !name->empty()) return printable(*name, kMaxNameBytes - 3);  // room for the ellipsis
  }
  return "unnamed";
}

Result<Architecture> read_architecture(const GgufFile& file) {
  const std::optional<std::string_view> name = file.find_string("general.architecture");
  if (!name)
    return fail(ErrorCode::Corrupt, file.path() + ": the metadata has no general.architecture (a string)");
  const std::optional<Architecture> architecture = architecture_named(*name);
  if (architecture) return *architecture;
  return fail(ErrorCode::Unsupported, file.path() + ": the architecture is " + in_quotes(*name) +
                                          "; supported are " + supported_architectures());
}

}  // namespace

const char* name_of(Architecture architecture) {
  switch (architecture) {
    case Architecture::Llama:
      return "llama";
    case Architecture::Qwen2:
      return "qwen2";
    case Architecture::Qwen3:
      return "qwen3";
    case Architecture::Gemma3:
      return "gemma3";
  }
  return "unknown";
}

Result<ModelConfig> read_model_config(const GgufFile& file) {
  const Result<Architecture> architecture = read_architecture(file);
  if (!architecture) return fail(architecture.error());
  ModelConfig config;
  config.architecture = *architecture;
  config.name = model_name(file);
  Metadata meta(file, *architecture);
  refuse_other_settings(meta, file);
  read_sizes(meta, file, config);
  if (!meta.ok()) return meta.failure();
  // Before anything is sized by it.
  if (config.num_layers > kMaxLayers) {
    meta.refuse(ErrorCode::Corrupt, meta.key("block_count") + " is " + std::to_string(config.num_layers) +
                                        ", expected at most " + std::to_string(kMaxLayers));
  }
  check_vocab(meta, file, config);
  if (!meta.ok()) return meta.failure();
  read_scales(meta, config);
  read_layers(meta, config);
  read_parts(file, config);
  if (!meta.ok()) return meta.failure();
  if (const Status sane = check_model_config(config); !sane) return fail(sane.error().during(file.path()));
  if (const Status tensors = check_tensors(config, file); !tensors)
    return fail(tensors.error().during(file.path()));
  return config;
}

}  // namespace shoal
