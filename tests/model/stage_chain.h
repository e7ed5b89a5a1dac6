#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "model/gguf_shard_source.h"
#include "model/stage_backend.h"
#include "tests/support/tiny_model.h"

namespace shoal {

struct ChainOptions {
  std::vector<std::uint32_t> cuts{};  // units where a new stage begins, ascending; empty: one stage
  std::uint32_t head_slices = 1;      // more than one: the head is stages of its own, side by side
  std::uint32_t max_context = 640;
  std::uint32_t max_rows = kMaxRowsPerStep;
  std::uint32_t max_sequences = 32;
  std::uint32_t blocks_per_kind = 400;
  KvType kv_type = KvType::F16;
  std::size_t num_threads = 1;
  const KernelTable* kernels = nullptr;  // null: the fastest
};

// A tiny model cut into stages that hand hidden rows over as f32 bytes, as a pipeline of workers does.
class StageChain {
 public:
  explicit StageChain(const TinyModel& model, ChainOptions options = {});

  // One step through all stages; the slices of a split head are merged. Fails the test on an error.
  std::vector<CandidateRow> run(std::span<const RowGroup> groups, std::span<const TokenId> ids,
                                std::span<const SamplingParams* const> sampling = {});

  // All rows of `ids`, appended to the sequence in steps of `chunk` rows, with digests.
  std::vector<CandidateRow> append(SequenceId sequence, std::uint32_t first_position,
                                   std::span<const TokenId> ids, std::uint32_t chunk);

  std::size_t num_stages() const { return stages_.size(); }
  StageBackend& stage(std::size_t i) { return *stages_[i]; }
  void close(SequenceId sequence);

 private:
  void open(Range units, Range head_blocks);
  std::vector<std::byte> wanted_rows(std::span<const RowGroup> groups,
                                     std::span<const std::byte> hidden) const;

  const TinyModel& model_;
  ChainOptions options_;
  ThreadPool pool_;
  GgufShardSource source_;
  std::vector<std::unique_ptr<StageBackend>> stages_;
};

std::vector<TokenId> random_ids(std::uint64_t seed, std::size_t count, std::uint32_t vocab_size);

// Equal but for the step numbers.
bool same_answers(std::span<const CandidateRow> a, std::span<const CandidateRow> b);

// `options` with a vocabulary of several head blocks.
TinyModelOptions several_head_blocks(TinyModelOptions options);

}  // namespace shoal
