#include "model/rope_tables.h"

#include <algorithm>

#include "base/check.h"
#include "kernels/elementary.h"

namespace shoal {
namespace {

// The first layer of every kind.
std::vector<LayerConfig> distinct_rotations(const ModelConfig& config, Range layers) {
  std::vector<LayerConfig> distinct;
  for (std::uint32_t layer = layers.begin; layer < layers.end; ++layer) {
    const LayerConfig& candidate = config.layers[layer];
    const bool known = std::any_of(distinct.begin(), distinct.end(), [&](const LayerConfig& other) {
      return other.rope_base == candidate.rope_base && other.rope_scale == candidate.rope_scale;
    });
    if (!known) distinct.push_back(candidate);
  }
  return distinct;
}

}  // namespace

RopeTables::RopeTables(const ModelConfig& config, Range layers, std::span<const float> factors)
    : pairs_(config.rope_dim / 2) {
  SHOAL_CHECK(factors.empty() || factors.size() == pairs_);
  for (const LayerConfig& layer : distinct_rotations(config, layers)) {
    Kind kind{layer.rope_base, layer.rope_scale, {}};
    for (std::size_t i = 0; i < pairs_; ++i) {
      const double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(config.rope_dim);
      const double frequency = pow_f64(double{layer.rope_base}, exponent) * double{layer.rope_scale};
      kind.frequencies.push_back(factors.empty() ? frequency : frequency / double{factors[i]});
    }
    kinds_.push_back(std::move(kind));
  }
}

std::size_t RopeTables::kind_of(const LayerConfig& layer) const {
  const auto kind = std::find_if(kinds_.begin(), kinds_.end(), [&](const Kind& k) {
    return k.base == layer.rope_base && k.scale == layer.rope_scale;
  });
  SHOAL_CHECK(kind != kinds_.end());
  return static_cast<std::size_t>(kind - kinds_.begin());
}

void RopeTables::angles(std::size_t kind, std::uint32_t position, float* cos, float* sin) const {
  const std::vector<double>& frequencies = kinds_[kind].frequencies;
  for (std::size_t i = 0; i < frequencies.size(); ++i) {
    const double angle = double{static_cast<double>(position)} * frequencies[i];
    cos[i] = static_cast<float>(cos_f64(angle));
    sin[i] = static_cast<float>(sin_f64(angle));
  }
}

std::size_t num_rope_kinds(const ModelConfig& config, Range layers) {
  return distinct_rotations(config, layers).size();
}

}  // namespace shoal
