#include "model/model_config_codec.h"

#include <string>

#include "model/model_config_check.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMagic = 0x47464353;  // "SCFG"
constexpr std::uint32_t kVersion = 1;

class Writer {
 public:
  template <typename T>
  void operator()(const T& value) {
    const std::size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    store(bytes_.data() + at, value);
  }
  void operator()(bool value) { (*this)(static_cast<std::uint8_t>(value)); }
  void text(const std::string& value) {
    (*this)(static_cast<std::uint32_t>(value.size()));
    for (const char c : value) (*this)(c);
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Gives zeros once the bytes have run out or a value was out of range; ok() tells.
class Reader {
 public:
  explicit Reader(Bytes bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }

  template <typename T>
  void operator()(T& value) {
    value = T{};
    if (!ok_ || rest_.size() < sizeof(T)) {
      ok_ = false;
      return;
    }
    value = load<T>(rest_.data());
    rest_ = rest_.subspan(sizeof(T));
  }
  void operator()(bool& value) { value = enumerator(1) == 1; }
  void operator()(Architecture& value) { value = static_cast<Architecture>(enumerator(3)); }
  void operator()(Activation& value) { value = static_cast<Activation>(enumerator(1)); }

  // A count that must not pass `max`.
  std::uint32_t count(std::uint32_t max) {
    std::uint32_t value = 0;
    (*this)(value);
    if (value > max) ok_ = false;
    return ok_ ? value : 0;
  }
  void text(std::string& value, std::uint32_t max_bytes) {
    value.resize(count(max_bytes));
    for (char& c : value) (*this)(c);
  }

 private:
  std::uint8_t enumerator(std::uint8_t last) {
    std::uint8_t value = 0;
    (*this)(value);
    if (value > last) ok_ = false;
    return ok_ ? value : std::uint8_t{0};
  }

  Bytes rest_;
  bool ok_ = true;
};

// The one list of fields, in their order on the wire, for writing and for reading.
template <typename Config, typename Visit>
void visit_fields(Config& config, Visit& visit) {
  visit(config.architecture);
  visit(config.hidden_size);
  visit(config.intermediate_size);
  visit(config.num_heads);
  visit(config.num_kv_heads);
  visit(config.head_dim);
  visit(config.rope_dim);
  visit(config.vocab_size);
  visit(config.max_seq_len);
  visit(config.rms_norm_eps);
  visit(config.attention_scale);
  visit(config.embedding_scale);
  visit(config.activation);
  visit(config.rope_interleaved);
  visit(config.qkv_bias);
  visit(config.qk_norm);
  visit(config.post_norms);
  visit(config.tied_head);
}

template <typename Layer, typename Visit>
void visit_layer(Layer& layer, Visit& visit) {
  visit(layer.window);
  visit(layer.rope_base);
  visit(layer.rope_scale);
}

}  // namespace

std::vector<std::byte> serialise(const ModelConfig& config) {
  Writer write;
  write(kMagic);
  write(kVersion);
  write.text(config.name);
  visit_fields(config, write);
  write(static_cast<std::uint32_t>(config.layers.size()));
  for (const LayerConfig& layer : config.layers) visit_layer(layer, write);
  return write.take();
}

Result<ModelConfig> parse_model_config(Bytes bytes) {
  Reader read(bytes);
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  read(magic);
  read(version);
  if (!read.ok() || magic != kMagic)
    return fail(ErrorCode::Corrupt, "model config: expected one of Shoal's, found other bytes");
  if (version != kVersion) {
    return fail(ErrorCode::Unsupported, "model config: expected version " + std::to_string(kVersion) +
                                            ", found " + std::to_string(version) +
                                            " (run the same Shoal on every device)");
  }
  ModelConfig config;
  read.text(config.name, kMaxNameBytes);
  visit_fields(config, read);
  config.num_layers = read.count(kMaxLayers);
  config.layers.resize(config.num_layers);
  for (LayerConfig& layer : config.layers) visit_layer(layer, read);
  if (!read.ok()) return fail(ErrorCode::Corrupt, "model config: a field is cut short or out of range");
  if (!read.at_end()) return fail(ErrorCode::Corrupt, "model config: bytes follow its end");
  if (const Status sane = check_model_config(config); !sane) return fail(sane.error().during("model config"));
  return config;
}

}  // namespace shoal
