#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "cli/bench_store.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/gguf.h"
#include "model/model_config.h"
#include "model/shard_source.h"
#include "model/stage_backend.h"

namespace shoal {

// How much a stage that is measured must hold: one sequence of max_context positions, or max_sequences of
// batch_length positions each, not both at once.
struct BenchCapacity {
  std::uint32_t max_context = 0;
  std::uint32_t max_sequences = 1;
  std::uint32_t batch_length = 0;
  KvType kv_type = KvType::F16;
};

// A whole model as one worker that holds every unit runs it: one stage, weights repacked from the file, fed
// with random token ids (the same in every run). One caller at a time; every call blocks until it is done.
class BenchModel {
 public:
  // num_threads >= 1, counting the caller. Errors: what GgufFile::open, read_model_config and open_cpu_stage
  // say.
  static Result<BenchModel> open(const std::string& path, const KernelTable& kernels, std::size_t num_threads,
                                 const BenchCapacity& capacity);
  // The same from a worker's store, where the panels already are.
  static Result<BenchModel> reopen(const BenchStore& store, const KernelTable& kernels,
                                   std::size_t num_threads, const BenchCapacity& capacity);

  const ModelConfig& config() const { return config_; }
  const std::vector<TensorSpec>& specs() const { return specs_; }
  ThreadPool& pool() { return *pool_; }
  StageBackend& stage() { return *stage_; }

  // Positions [0, num_rows) of one sequence, in steps of kMaxRowsPerStep rows; the last one's row asks for a
  // token.
  Status prefill(std::uint32_t num_rows);
  // num_steps steps of one row for each of num_sequences, from position `first` on, which every sequence must
  // have reached.
  Status decode(std::uint32_t num_sequences, std::uint32_t first, std::uint32_t num_steps);

  // The first sequence's keys and values, to come back to a depth without computing it again: a window has
  // let go of what a sequence that went on could be cut back to.
  Result<std::vector<std::byte>> save(std::uint32_t num_positions) const;
  Status restore(const std::vector<std::byte>& saved);
  void close_all() { stage_->close_all(); }

 private:
  BenchModel() = default;
  Status open_stage(const KernelTable& kernels, const BenchCapacity& capacity);
  Status run_step(std::uint32_t num_sequences, std::uint32_t first_position, std::uint32_t num_rows,
                  bool wants_token);

  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<ShardSource> source_;
  ModelConfig config_;
  std::vector<TensorSpec> specs_;
  std::unique_ptr<StageBackend> stage_;
  std::vector<RowGroup> groups_;
  std::vector<TokenId> ids_;
  StageOutput output_;
  std::uint64_t step_ = 0;
};

}  // namespace shoal
