#include "tests/model/float_twin.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "base/bytes.h"
#include "base/check.h"

namespace shoal {
namespace {

using Row = std::vector<double>;
using Rows = std::vector<Row>;

double rounded_to_11_bits(double x) {
  int exponent = 0;
  const double fraction = std::frexp(x, &exponent);
  return std::ldexp(std::nearbyint(std::ldexp(fraction, 11)), exponent - 11);
}

struct Twin {
  const TinyModel& model;
  KvType kv_type;
  const ModelConfig& config = model.config();

  Row tensor(const std::string& name) const {
    const GgufTensor* found = model.file().find_tensor(name);
    if (!found) return {};
    SHOAL_CHECK(found->type == WeightType::F32);
    const Bytes data = model.file().data(*found);
    Row values(data.size() / sizeof(float));
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<double>(load<float>(data.data() + i * sizeof(float)));
    return values;
  }

  Row multiply(const std::string& name, const Row& x) const {
    const Row weights = tensor(name);
    Row out(weights.size() / x.size(), 0.0);
    for (std::size_t o = 0; o < out.size(); ++o)
      for (std::size_t i = 0; i < x.size(); ++i) out[o] += weights[o * x.size() + i] * x[i];
    return out;
  }

  // Each run of gain.size() values is normalised by itself.
  Row norm(const std::string& name, Row x) const {
    const Row gain = tensor(name);
    for (std::size_t begin = 0; begin < x.size(); begin += gain.size()) {
      double squares = 0;
      for (std::size_t i = 0; i < gain.size(); ++i) squares += x[begin + i] * x[begin + i];
      const double scale = 1 / std::sqrt(squares / static_cast<double>(gain.size()) +
                                         static_cast<double>(config.rms_norm_eps));
      for (std::size_t i = 0; i < gain.size(); ++i) x[begin + i] *= scale * gain[i];
    }
    return x;
  }

  void add(Row& x, const Row& y) const {
    for (std::size_t i = 0; i < y.size(); ++i) x[i] += y[i];
  }

  void rotate(Row& x, const LayerConfig& layer, std::size_t position) const {
    const Row factors = tensor("rope_freqs.weight");
    const std::size_t half = config.rope_dim / 2;
    for (std::size_t head = 0; head < x.size(); head += config.head_dim) {
      for (std::size_t i = 0; i < half; ++i) {
        double angle = static_cast<double>(position) * static_cast<double>(layer.rope_scale) *
                       std::pow(static_cast<double>(layer.rope_base),
                                -static_cast<double>(i) / static_cast<double>(half));
        if (!factors.empty()) angle /= factors[i];
        double& a = x[head + (config.rope_interleaved ? 2 * i : i)];
        double& b = x[head + (config.rope_interleaved ? 2 * i + 1 : i + half)];
        const double rotated = a * std::cos(angle) - b * std::sin(angle);
        b = a * std::sin(angle) + b * std::cos(angle);
        a = rotated;
      }
    }
  }

  Row project(const std::string& prefix, const char* which, const Row& x) const {
    Row out = multiply(prefix + "attn_" + which + ".weight", x);
    add(out, tensor(prefix + "attn_" + which + ".bias"));
    const std::string head_norm = prefix + "attn_" + which + "_norm.weight";
    return model.file().find_tensor(head_norm) ? norm(head_norm, out) : out;
  }

  // As a row of keys or values is kept.
  Row kept(Row x) const {
    if (kv_type == KvType::F16) return x;
    for (std::size_t head = 0; head < x.size(); head += config.head_dim) {
      for (std::size_t begin = head; begin < head + config.head_dim; begin += 32) {
        const std::size_t end = std::min<std::size_t>(begin + 32, head + config.head_dim);
        double greatest = 0;
        for (std::size_t i = begin; i < end; ++i) greatest = std::max(greatest, std::abs(x[i]));
        const double scale = rounded_to_11_bits(greatest / 127);
        for (std::size_t i = begin; i < end; ++i) x[i] = std::nearbyint(x[i] / greatest * 127) * scale;
      }
    }
    return x;
  }

  Row attend(const Row& q, const Rows& keys, const Rows& values, std::size_t position,
             std::uint32_t window) const {
    Row out(q.size(), 0.0);
    const std::size_t group = config.num_heads / config.num_kv_heads;
    const std::size_t first = window != 0 && position + 1 > window ? position + 1 - window : 0;
    for (std::size_t head = 0; head < config.num_heads; ++head) {
      const std::size_t kv = head / group * config.head_dim;
      Row weights;
      double sum = 0;
      for (std::size_t j = first; j <= position; ++j) {
        double score = 0;
        for (std::size_t d = 0; d < config.head_dim; ++d)
          score += q[head * config.head_dim + d] * keys[j][kv + d];
        weights.push_back(std::exp(score / std::sqrt(static_cast<double>(config.head_dim))));
        sum += weights.back();
      }
      for (std::size_t j = first; j <= position; ++j)
        for (std::size_t d = 0; d < config.head_dim; ++d)
          out[head * config.head_dim + d] += weights[j - first] / sum * values[j][kv + d];
    }
    return out;
  }

  Row feed_forward(const std::string& prefix, const Row& x) const {
    Row gate = multiply(prefix + "ffn_gate.weight", x);
    const Row up = multiply(prefix + "ffn_up.weight", x);
    for (std::size_t i = 0; i < gate.size(); ++i) {
      const double g = gate[i];
      const double gelu =
          0.5 * g * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (g + 0.044715 * g * g * g)));
      gate[i] = up[i] * (config.architecture == Architecture::Gemma3 ? gelu : g / (1 + std::exp(-g)));
    }
    return multiply(prefix + "ffn_down.weight", gate);
  }

  void run_layer(std::uint32_t index, Rows& rows) const {
    const std::string prefix = "blk." + std::to_string(index) + ".";
    const bool post_norms = config.architecture == Architecture::Gemma3;
    const LayerConfig& layer = config.layers[index];
    Rows keys, values;
    for (std::size_t position = 0; position < rows.size(); ++position) {
      Row& x = rows[position];
      const Row h = norm(prefix + "attn_norm.weight", x);
      Row q = project(prefix, "q", h);
      keys.push_back(project(prefix, "k", h));
      values.push_back(kept(project(prefix, "v", h)));
      rotate(q, layer, position);
      rotate(keys.back(), layer, position);
      keys.back() = kept(keys.back());
      Row branch = multiply(prefix + "attn_output.weight", attend(q, keys, values, position, layer.window));
      add(x, post_norms ? norm(prefix + "post_attention_norm.weight", branch) : branch);
      branch = feed_forward(prefix, norm(prefix + "ffn_norm.weight", x));
      add(x, post_norms ? norm(prefix + "post_ffw_norm.weight", branch) : branch);
    }
  }
};

}  // namespace

std::vector<std::vector<double>> float_twin_logits(const TinyModel& model, std::span<const TokenId> ids,
                                                   KvType kv_type) {
  const Twin twin{model, kv_type};
  const std::size_t hidden = model.config().hidden_size;
  const double scale =
      model.config().architecture == Architecture::Gemma3 ? std::sqrt(static_cast<double>(hidden)) : 1.0;
  const Row embedding = twin.tensor("token_embd.weight");
  Rows rows;
  for (TokenId id : ids) {
    const auto begin = embedding.begin() + id * static_cast<std::ptrdiff_t>(hidden);
    rows.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(hidden));
    for (double& value : rows.back()) value *= scale;
  }
  for (std::uint32_t layer = 0; layer < model.config().num_layers; ++layer) twin.run_layer(layer, rows);
  const bool untied = model.file().find_tensor("output.weight") != nullptr;
  for (Row& row : rows)
    row = twin.multiply(untied ? "output.weight" : "token_embd.weight", twin.norm("output_norm.weight", row));
  return rows;
}

}  // namespace shoal
