#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/micro_batch.h"
#include "base/range.h"
#include "base/result.h"
#include "kernels/kernel_table.h"
#include "model/kv_budget.h"
#include "model/model_config.h"

namespace shoal {

// The keys and values of one stage's layers, and which sequences they belong to. Every kind of layer has a
// pool of blocks allocated once; a sequence has one block table per kind. A stage without layers uses it as
// its table of sequences. Owned by the compute thread. After open nothing allocates but export_range.
class KvCache {
 public:
  static constexpr std::uint32_t kNoSlot = ~0u;

  // units: the stage's; budget.blocks has one entry per kind of the model (it may be empty where the stage
  // has no layer). Errors: InvalidArgument (budget of another model), OutOfMemory (with the bytes asked for).
  static Result<KvCache> open(const ModelConfig& config, Range units, const KvBudget& budget,
                              std::uint32_t max_sequences, std::uint32_t max_context);

  // Makes room for a step: each group's sequence is cut back to first_position, blocks behind the window of
  // its first row are released, blocks for its rows are taken. slots[g] names the sequence's slot (kNoSlot
  // where the group has none: it closes). All or nothing. Errors: InvalidArgument (a gap, a sequence twice,
  // past max_context, positions already released), OutOfMemory (no block or no slot is free).
  Status admit(std::span<const RowGroup> groups, std::span<std::uint32_t> slots);

  // The blocks of a slot's sequence for layer `layer` (of the model), by block number; null behind the
  // window. keys, values: table_entries() entries each.
  void block_tables(std::uint32_t slot, std::uint32_t layer, std::byte** keys, std::byte** values) const;
  std::size_t table_entries() const { return table_entries_; }
  const KvShape& shape() const { return shape_; }

  void close(SequenceId sequence);
  void close_all();
  std::uint32_t slot_of(SequenceId sequence) const;  // kNoSlot if unknown
  std::uint32_t length(SequenceId sequence) const;
  std::vector<std::uint32_t> free_blocks() const;  // per kind
  std::uint64_t pool_bytes() const { return pool_bytes_; }
  // Everything besides pool_bytes().
  static std::uint64_t table_bytes(const ModelConfig& config, const KvBudget& budget,
                                   std::uint32_t max_sequences, std::uint32_t max_context);

  // Positions [begin, end) of every layer here, what a window has released left out; and the token ids of
  // those positions, where the caller has them (else empty). Format: kv_export.cpp.
  Result<std::vector<std::byte>> export_range(SequenceId sequence, Range positions,
                                              std::span<const TokenId> ids) const;

  struct Imported {
    Range positions;
    std::vector<TokenId> ids;  // one per position, or empty
  };
  // Cuts the sequence back to the range's begin, then appends it. Errors: Corrupt (not what export_range
  // writes, or damaged), InvalidArgument (of another shape or other layers; a gap before it; no ids where
  // needs_ids), OutOfMemory. On error nothing has changed.
  Result<Imported> import_range(SequenceId sequence, Bytes exported, bool needs_ids);

 private:
  struct FreeMemory {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  // One kind of layer on this stage. Storage: [layers here][blocks]{keys, values}.
  struct Pool {
    std::uint32_t window = 0;
    std::vector<std::uint32_t> layers;  // of the model, ascending; empty: takes no blocks
    std::uint32_t num_blocks = 0;
    std::vector<std::uint32_t> free;  // a stack of block numbers
    std::byte* storage = nullptr;
  };
  // Blocks [first, end) of one sequence in one kind; blocks[b] is a number in the pool.
  struct Table {
    std::uint32_t first = 0;
    std::uint32_t end = 0;
    std::vector<std::uint32_t> blocks;  // fixed size: table_entries()
    std::uint32_t held() const { return end - first; }
  };
  struct Sequence {
    SequenceId id{};
    bool open = false;
    std::uint32_t length = 0;
    std::vector<Table> tables;  // per kind
  };
  // How a table's ends move in a step.
  struct Move {
    std::uint32_t kept_end;   // after the cut
    std::uint32_t new_first;  // after the release
    std::uint32_t new_end;    // after the rows are appended
    std::uint32_t held() const { return new_end - new_first; }
  };
  // Per kind, a block below which nothing is kept (an import's first block); empty: none.
  using Floors = std::span<const std::uint32_t>;
  KvCache() = default;

  Status allocate();
  Status check_group(const RowGroup& group) const;
  Status check_no_repeats(std::span<const RowGroup> groups) const;
  Status check_window(const RowGroup& group, const Sequence& sequence) const;
  Status check_slots(std::span<const RowGroup> groups) const;
  Status check_blocks(std::span<const RowGroup> groups, Floors floors) const;
  Status admit_above(std::span<const RowGroup> groups, Floors floors, std::span<std::uint32_t> slots);
  Move move_of(std::size_t kind, const Table* table, const RowGroup& group, Floors floors) const;
  void free_before_growth(const RowGroup& group, Floors floors);
  void grow(const RowGroup& group, std::uint32_t slot, Floors floors);
  std::uint32_t take_slot(SequenceId sequence);
  void release(Sequence& sequence);
  std::byte* block_keys(const Pool& pool, std::size_t layer_index, std::uint32_t block) const;

  friend struct KvExport;

  KvShape shape_;
  Range units_;
  std::uint32_t vocab_size_ = 0;
  std::uint32_t max_context_ = 0;
  std::size_t table_entries_ = 0;
  std::uint64_t pool_bytes_ = 0;
  std::vector<Pool> pools_;          // per kind
  std::vector<Sequence> sequences_;  // slots
  std::unique_ptr<std::byte, FreeMemory> memory_;
};

}  // namespace shoal
