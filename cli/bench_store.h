#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "model/shard_source.h"
#include "transport/messages.h"

namespace shoal {

// A whole model in a worker's store, as a hub's answers fill it, in the cache; removed with the object. What
// an interrupted measurement left there is used again.
class BenchStore {
 public:
  // Hashes and repacks every tensor. Errors: Unavailable (the disk refuses), what read_model_config says.
  static Result<BenchStore> fill(const GgufFile& file, std::size_t num_threads);
  BenchStore(BenchStore&& other) noexcept;
  BenchStore& operator=(BenchStore&&) = delete;
  ~BenchStore();

  // The plan that the hub sends again: what a worker that starts anew need not read from a file.
  const ModelConfig& config() const { return config_; }
  const std::vector<TensorSpec>& specs() const { return specs_; }

  // What a worker does first when it starts again: opens its store, verifies and maps what the plan names.
  // One at a time.
  Result<std::unique_ptr<ShardSource>> reopen() const;

 private:
  BenchStore() = default;
  Status write_all(const GgufFile& file) const;

  std::string directory_;  // "" once moved from
  ModelConfig config_;
  std::vector<TensorSpec> specs_;
  std::vector<TensorRef> tensors_;
};

}  // namespace shoal
