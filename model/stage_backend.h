#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/micro_batch.h"
#include "base/range.h"
#include "base/result.h"
#include "base/sampling.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/kv_budget.h"
#include "model/model_config.h"
#include "model/op_times.h"
#include "model/shard_source.h"

namespace shoal {

// What one stage executes. `head_blocks` counts blocks of 1,024 vocabulary rows and is empty unless units
// reach the head.
struct StageSpec {
  Range units;
  Range head_blocks;
  std::uint32_t max_context = 0;  // positions per sequence; sizes RoPE tables and block tables
  std::uint32_t max_rows = 0;     // rows per step, <= kMaxRowsPerStep; sizes scratch
  std::uint32_t max_sequences = 0;
  KvBudget kv;
};

// One step's input. Rows are the groups' rows in order.
struct StageInput {
  std::span<const RowGroup> groups;
  std::span<const TokenId> ids;  // one per row of every group
  const std::byte* hidden =
      nullptr;  // f32 [rows, hidden_size], any alignment; null where the stage begins with the embedding.
                // A stage of the head alone gets only the wanted rows, in order.
  // Parallel to groups: how to choose, null where nothing is wanted or for scoring with defaults.
  std::span<const SamplingParams* const> sampling;
  std::span<const std::uint32_t> depth;  // per group: how many candidates to return (see CandidateRow)
};

struct StageOutput {
  std::span<const float>
      hidden;  // [rows, hidden_size] of a stage that ends before the head: owned by the backend until the
               // next run; where the next stage is the head alone, the caller picks the wanted rows
  std::vector<CandidateRow> candidates;  // of a stage that ends with the head: one per wanted row. Reused by
                                         // the caller: cleared first
};

// Executes a stage. Owned by one compute thread; run blocks until done.
// A group first cuts its sequence back to first_position (rejected drafts, replays), then appends its rows; a
// sequence unknown so far starts at position 0. The stage keeps the token ids of sequences when it holds the
// head (penalties need them).
class StageBackend {
 public:
  virtual ~StageBackend() = default;

  virtual const StageSpec& spec() const = 0;
  virtual bool bit_exact() const = 0;  // false for backends held to a tolerance (Vulkan)

  // Errors: InvalidArgument (positions leave a gap, ids outside the vocabulary, more rows or context than the
  // spec allows), OutOfMemory (no KV block or sequence slot free: nothing of the step was applied), Corrupt
  // (a hidden value is not finite).
  virtual Status run(const StageInput& input, StageOutput& output) = 0;

  virtual void close(SequenceId sequence) = 0;  // unknown: nothing happens
  virtual void close_all() = 0;
  virtual std::uint32_t length(SequenceId sequence) const = 0;  // positions held; 0 if unknown

  // KV of positions [begin, end) of every layer of this stage, in block order, with a header that names shape
  // and range.
  virtual Result<std::vector<std::byte>> export_kv(SequenceId sequence, Range positions) const = 0;
  virtual Status import_kv(SequenceId sequence, Bytes exported) = 0;

  virtual std::vector<std::uint32_t> free_kv_blocks() const = 0;  // per kind
  virtual std::uint64_t scratch_bytes() const = 0;  // everything allocated besides weights and KV
  virtual std::uint64_t kv_bytes_allocated() const = 0;

  // From now on every step adds its operations' times to `times`, which outlives the stage or is replaced;
  // null: to nothing. A backend that cannot tell its operations apart ignores it.
  virtual void measure(OpTimes* times) = 0;
};

// The CPU backend. `pool` and `kernels` outlive it; `source` may be shared between stages and must outlive
// them.
Result<std::unique_ptr<StageBackend>> open_cpu_stage(const StageSpec& spec, const ModelConfig& config,
                                                     const std::vector<TensorSpec>& tensors,
                                                     ShardSource& source, const KernelTable& kernels,
                                                     ThreadPool& pool);

// What open_cpu_stage will allocate for scratch (bytes), for the planner. Tested against scratch_bytes().
std::uint64_t cpu_stage_scratch_bytes(const StageSpec& spec, const ModelConfig& config,
                                      std::size_t num_threads);

}  // namespace shoal
