#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/range.h"
#include "model/model_config.h"

namespace shoal {

// The rotations of RoPE (docs/ARITHMETIC.md, "RoPE"). Layers with the same base and scale share a kind.
// Frequencies are kept in f64; cosines and sines are computed for a step's rows when it begins and shared by
// all layers, so that no memory grows with the context. Immutable after construction. Source: Su et al. 2021
// (RoFormer), eq. 34; frequency factors as Llama 3.1 scales them.
class RopeTables {
 public:
  // factors [rope_dim/2] divide the frequencies; empty: none. layers: of the model.
  RopeTables(const ModelConfig& config, Range layers, std::span<const float> factors);

  std::size_t num_kinds() const { return kinds_.size(); }
  std::size_t pairs() const { return pairs_; }  // rope_dim / 2
  std::size_t kind_of(const LayerConfig& layer) const;

  // cos, sin [pairs()] of one position.
  void angles(std::size_t kind, std::uint32_t position, float* cos, float* sin) const;

 private:
  struct Kind {
    float base;
    float scale;
    std::vector<double> frequencies;
  };
  std::size_t pairs_;
  std::vector<Kind> kinds_;
};

// Kinds among `layers`, without building them.
std::size_t num_rope_kinds(const ModelConfig& config, Range layers);

}  // namespace shoal
