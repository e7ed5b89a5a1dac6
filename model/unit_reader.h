#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/shard_source.h"

namespace shoal {

// Reads one unit's tensors from a source. The first error stays; read all, then ask status().
class UnitReader {
 public:
  UnitReader(const std::vector<TensorSpec>& specs, std::uint32_t unit, ShardSource& source)
      : specs_(specs), unit_(unit), source_(source) {}

  PanelMatrix matrix(TensorRole role, std::uint64_t rows, std::uint64_t cols);
  std::span<const float> vector(TensorRole role, std::uint64_t size);
  bool has(TensorRole role) const { return find(role) != nullptr; }
  const Status& status() const { return status_; }

 private:
  const TensorSpec* find(TensorRole role) const;
  const TensorSpec* expect(TensorRole role, std::uint64_t rows, std::uint64_t cols);

  const std::vector<TensorSpec>& specs_;
  std::uint32_t unit_;
  ShardSource& source_;
  Status status_;
};

}  // namespace shoal
