#pragma once

#include <array>
#include <cstdlib>
#include <memory>
#include <optional>
#include <vector>

#include "model/block.h"
#include "model/embedding.h"
#include "model/head.h"
#include "model/stage_backend.h"

namespace shoal {

// The CPU's stage backend: bit-exact by docs/ARITHMETIC.md. Made by open_cpu_stage; the contract is
// StageBackend's.
class CpuStage final : public StageBackend {
 public:
  static Result<std::unique_ptr<StageBackend>> open(const StageSpec& spec, const ModelConfig& config,
                                                    const std::vector<TensorSpec>& tensors,
                                                    ShardSource& source, const KernelTable& kernels,
                                                    ThreadPool& pool);

  const StageSpec& spec() const override { return spec_; }
  bool bit_exact() const override { return true; }
  Status run(const StageInput& input, StageOutput& output) override;

  void close(SequenceId sequence) override { kv_.close(sequence); }
  void close_all() override { kv_.close_all(); }
  std::uint32_t length(SequenceId sequence) const override { return kv_.length(sequence); }
  Result<std::vector<std::byte>> export_kv(SequenceId sequence, Range positions) const override;
  Status import_kv(SequenceId sequence, Bytes exported) override;

  std::vector<std::uint32_t> free_kv_blocks() const override { return kv_.free_blocks(); }
  std::uint64_t scratch_bytes() const override { return scratch_bytes_; }
  std::uint64_t kv_bytes_allocated() const override { return kv_.pool_bytes(); }
  void measure(OpTimes* times) override { compute_.times = times; }

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  CpuStage(const StageSpec& spec, const ModelConfig& config, Compute compute, KvCache kv)
      : spec_(spec), config_(config), compute_(compute), kv_(std::move(kv)) {}

  Status allocate();
  Status load(const std::vector<TensorSpec>& tensors, ShardSource& source);

  Status check_input(const StageInput& input) const;
  std::size_t lay_rows(const StageInput& input);
  std::span<const RowTile> lay_tiles(std::size_t num_rows);
  Status take_hidden(const StageInput& input, std::size_t num_rows);
  void fill_angles(std::size_t num_rows);
  void log_ids(const StageInput& input);
  void run_head(const StageInput& input, StageOutput& output);

  bool has_embedding() const { return spec_.units.begin == 0; }
  bool has_head() const { return !spec_.head_blocks.empty(); }
  bool head_alone() const { return spec_.units.begin == config_.head_unit(); }

  StageSpec spec_;
  ModelConfig config_;
  Compute compute_;
  KvCache kv_;
  std::optional<RopeTables> rope_;
  std::optional<Embedding> embedding_;
  std::vector<Block> blocks_;
  std::optional<Head> head_;
  std::unique_ptr<std::byte, FreeMemory> memory_;
  std::uint64_t scratch_bytes_ = 0;
  Workspace work_;
  std::size_t num_wanted_ = 0;                                         // of this step, in work_.wanted
  std::array<std::uint32_t, kMaxGroupsPerStep> slots_{};               // per group of this step
  std::array<std::span<const TokenId>, kMaxGroupsPerStep> histories_;  // per group of this step
  std::vector<std::vector<TokenId>> ids_;  // per slot, where the stage holds the head
};

}  // namespace shoal
