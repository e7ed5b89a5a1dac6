#include "model/model_config_codec.h"

#include <doctest/doctest.h>

#include <limits>

#include "model/model_config_check.h"
#include "tests/support/random.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

ModelConfig sample(Architecture architecture = Architecture::Gemma3) {
  return TinyModel(1, TinyModelOptions::for_architecture(architecture)).config();
}

}  // namespace

TEST_CASE("a config survives the journey as bytes") {
  for (const Architecture architecture :
       {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3}) {
    const ModelConfig config = sample(architecture);
    const std::vector<std::byte> bytes = serialise(config);
    const Result<ModelConfig> back = parse_model_config(bytes);
    REQUIRE_MESSAGE(back.has_value(), (back ? "" : back.error().message()));
    CHECK(*back == config);
    CHECK(serialise(*back) == bytes);
  }
}

TEST_CASE("the largest config we accept fits the stated bound") {
  ModelConfig config = sample();
  config.name = std::string(kMaxNameBytes, 'n');
  config.num_layers = kMaxLayers;
  config.layers.resize(kMaxLayers);
  REQUIRE(check_model_config(config));
  const std::vector<std::byte> bytes = serialise(config);
  CHECK(bytes.size() <= kMaxModelConfigBytes);
  CHECK(parse_model_config(bytes));
}

TEST_CASE("config bytes cut short or with more behind them are refused") {
  std::vector<std::byte> bytes = serialise(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    CAPTURE(size);
    const Result<ModelConfig> part = parse_model_config(Bytes(bytes).first(size));
    REQUIRE_FALSE(part);
    CHECK(part.error().code() == ErrorCode::Corrupt);
  }
  bytes.push_back(std::byte{0});
  CHECK(parse_model_config(bytes).error().message() == "model config: bytes follow its end");
}

TEST_CASE("a config of another version asks for the same Shoal everywhere") {
  std::vector<std::byte> bytes = serialise(sample());
  bytes[4] = std::byte{9};
  const Result<ModelConfig> other = parse_model_config(bytes);
  REQUIRE_FALSE(other);
  CHECK(other.error().code() == ErrorCode::Unsupported);
  CHECK(other.error().message() ==
        "model config: expected version 1, found 9 (run the same Shoal on every device)");
}

TEST_CASE("a config with nonsense inside is refused after the journey too") {
  const auto refused = [](auto&& edit) {
    ModelConfig config = sample();
    edit(config);
    const Result<ModelConfig> back = parse_model_config(serialise(config));
    return !back && back.error().code() == ErrorCode::Corrupt;
  };
  CHECK_FALSE(refused([](ModelConfig&) {}));
  CHECK(refused([](ModelConfig& c) { c.hidden_size = 0; }));
  CHECK(refused([](ModelConfig& c) { c.vocab_size = kMaxVocabSize + 1; }));
  CHECK(refused([](ModelConfig& c) { c.num_kv_heads = 3; }));
  CHECK(refused([](ModelConfig& c) { c.rope_dim = 31; }));
  CHECK(refused([](ModelConfig& c) { c.head_dim = 512, c.num_heads = 1024; }));
  CHECK(refused([](ModelConfig& c) { c.architecture = static_cast<Architecture>(4); }));
  CHECK(refused([](ModelConfig& c) { c.activation = static_cast<Activation>(2); }));
  CHECK(refused([](ModelConfig& c) { c.rms_norm_eps = std::numeric_limits<float>::quiet_NaN(); }));
  CHECK(refused([](ModelConfig& c) { c.embedding_scale = -1; }));
  CHECK(refused([](ModelConfig& c) { c.layers[1].window = kMaxSeqLen + 1; }));
  CHECK(refused([](ModelConfig& c) { c.layers[1].rope_scale = 0; }));
  CHECK(refused([](ModelConfig& c) { c.layers.clear(); }));
  CHECK(refused([](ModelConfig& c) { c.name = "\x1b[2J"; }));
  CHECK(refused([](ModelConfig& c) { c.name = std::string(kMaxNameBytes + 1, 'x'); }));
}

TEST_CASE("whatever random bytes parse as a config is a config that passes every check") {
  const std::vector<std::byte> bytes = serialise(sample());
  Random random(11);
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::byte> changed = bytes;
    for (std::uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      changed[random.below(changed.size())] = static_cast<std::byte>(random.next());
    }
    const Result<ModelConfig> config = parse_model_config(changed);
    if (!config) continue;
    ++accepted;
    CHECK(check_model_config(*config));
    CHECK(serialise(*config) == changed);
  }
  CHECK(accepted > 100);
}

}  // namespace shoal
