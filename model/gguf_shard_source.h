#pragma once

#include <cstddef>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/thread_pool.h"
#include "model/gguf.h"
#include "model/shard_source.h"

namespace shoal {

// Weights straight from a GGUF file: each tensor is repacked into panels in memory when it is first asked
// for, on the pool. For tools and tests that need no disk store. `file` and `pool` outlive it. One caller at
// a time.
class GgufShardSource : public ShardSource {
 public:
  GgufShardSource(const GgufFile& file, ThreadPool& pool) : file_(file), pool_(pool) {}

  // Errors: Corrupt (the file's tensor is not what the spec says), OutOfMemory.
  Result<PanelMatrix> matrix(const TensorSpec& spec) override;
  Result<std::span<const float>> vector(const TensorSpec& spec) override;

  std::uint64_t bytes() const { return bytes_; }  // of panels and vectors so far

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  using Panels = std::unique_ptr<std::byte, FreeMemory>;

  Result<Panels> pack(const TensorSpec& spec);

  const GgufFile& file_;
  ThreadPool& pool_;
  std::map<std::string, Panels>
      matrices_;  // by the file's name of the tensor: a tied head is the embedding's
  std::map<std::string, std::vector<float>> vectors_;
  std::uint64_t bytes_ = 0;
};

}  // namespace shoal
