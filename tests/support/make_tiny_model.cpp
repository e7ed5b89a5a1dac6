// Writes a tiny random model:  make_tiny_model OUT.gguf [--seed 7] [--architecture llama|qwen2|qwen3|gemma3]
// [--layers N] ...
#include <charconv>
#include <cstdio>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

constexpr const char* kUsage =
    "usage: make_tiny_model OUT.gguf [flags]\n"
    "  --architecture llama|qwen2|qwen3|gemma3   first, since it sets defaults for the rest\n"
    "  --seed N --name TEXT --layers N --hidden N --heads N --kv-heads N --head-dim N --ffn N --vocab N "
    "--context N\n"
    "  --untied | --tied          a head of its own, or the embedding's matrix\n"
    "  --bias                     q, k, v biases\n"
    "  --rope-base X --rope-factors --rope-scaling X\n"
    "  --window N --window-pattern N          gemma3's sliding window\n"
    "  --type T                   every matrix as F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K "
    "or Q6_K\n"
    "  --embedding-type T --head-type T --q-type T --k-type T --v-type T --output-type T --gate-type T "
    "--up-type T --down-type T\n"
    "  --tokenizer bpe|spm --pre NAME --chat-template TEXT\n";

std::optional<WeightType> weight_type_named(std::string_view name) {
  for (std::uint32_t number = 0; number < 64; ++number) {
    const std::optional<WeightType> type = weight_type_from(number);
    if (type && name == name_of(*type)) return type;
  }
  return std::nullopt;
}

bool set(std::uint32_t& field, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), field);
  return error == std::errc() && end == text.data() + text.size();
}
bool set(std::uint64_t& field, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), field);
  return error == std::errc() && end == text.data() + text.size();
}
bool set(float& field, std::string_view text) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), field);
  return error == std::errc() && end == text.data() + text.size();
}
bool set(std::string& field, std::string_view text) {
  field = text;
  return true;
}
bool set(WeightType& field, std::string_view text) {
  const std::optional<WeightType> type = weight_type_named(text);
  if (type) field = *type;
  return type.has_value();
}
bool set(TinyWeightTypes& field, std::string_view text) {
  WeightType type{};
  if (!set(type, text)) return false;
  field = TinyWeightTypes::all(type);
  return true;
}
bool set(TinyTokenizerKind& field, std::string_view text) {
  field = text == "spm" ? TinyTokenizerKind::SentencePiece : TinyTokenizerKind::ByteLevelBpe;
  return text == "spm" || text == "bpe";
}
bool set(TinyModelOptions& field, std::string_view architecture) {
  for (const auto a : {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3}) {
    if (architecture != name_of(a)) continue;
    field = TinyModelOptions::for_architecture(a);
    return true;
  }
  return false;
}

struct Request {
  std::string path;
  std::uint64_t seed = 7;
  TinyModelOptions options;
};

using Flag = std::function<bool(std::string_view)>;  // takes the value; false: it will not do

std::map<std::string_view, Flag> value_flags(Request& r) {
  TinyModelOptions& o = r.options;
  const auto into = [](auto& field) -> Flag {
    return [&field](std::string_view text) { return set(field, text); };
  };
  return {
      {"--seed", into(r.seed)},
      {"--architecture", into(o)},
      {"--name", into(o.name)},
      {"--layers", into(o.num_layers)},
      {"--hidden", into(o.hidden_size)},
      {"--heads", into(o.num_heads)},
      {"--kv-heads", into(o.num_kv_heads)},
      {"--head-dim", into(o.head_dim)},
      {"--ffn", into(o.intermediate_size)},
      {"--vocab", into(o.vocab_size)},
      {"--context", into(o.max_seq_len)},
      {"--rope-base", into(o.rope_base)},
      {"--rope-scaling", into(o.rope_scaling_factor)},
      {"--window", into(o.sliding_window)},
      {"--window-pattern", into(o.sliding_window_pattern)},
      {"--type", into(o.types)},
      {"--embedding-type", into(o.types.embedding)},
      {"--head-type", into(o.types.head)},
      {"--q-type", into(o.types.q)},
      {"--k-type", into(o.types.k)},
      {"--v-type", into(o.types.v)},
      {"--output-type", into(o.types.attn_output)},
      {"--gate-type", into(o.types.gate)},
      {"--up-type", into(o.types.up)},
      {"--down-type", into(o.types.down)},
      {"--tokenizer", into(o.tokenizer)},
      {"--pre", into(o.pre_tokenizer)},
      {"--chat-template", [&o](std::string_view text) { return o.chat_template = text, true; }},
  };
}

bool set_switch(TinyModelOptions& options, std::string_view flag) {
  if (flag == "--untied") return options.tied_head = false, true;
  if (flag == "--tied") return options.tied_head = true;
  if (flag == "--bias") return options.qkv_bias = true;
  if (flag == "--rope-factors") return options.rope_factors = true;
  return false;
}

// "" or what is wrong.
std::string parse(int argc, char** argv, Request& request) {
  const std::map<std::string_view, Flag> flags = value_flags(request);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto flag = flags.find(argument);
    if (flag != flags.end()) {
      if (++i == argc) return std::string(argument) + " needs a value";
      if (!flag->second(argv[i])) return std::string(argument) + " cannot be " + argv[i];
    } else if (argument.starts_with("--")) {
      if (!set_switch(request.options, argument)) return "unknown flag " + std::string(argument);
    } else if (request.path.empty()) {
      request.path = argument;
    } else {
      return "one output file, please, not also " + std::string(argument);
    }
  }
  if (request.path.empty()) return "no output file";
  return problem_with(request.options);
}

int run(int argc, char** argv) {
  Request request;
  const std::string problem = parse(argc, argv, request);
  if (!problem.empty()) {
    std::fprintf(stderr, "make_tiny_model: %s\n%s", problem.c_str(), kUsage);
    return 2;
  }
  const Status written = write_tiny_model(request.path, request.seed, request.options);
  if (written) return 0;
  std::fprintf(stderr, "make_tiny_model: %s\n", written.error().message().c_str());
  return 1;
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) { return shoal::run(argc, argv); }
