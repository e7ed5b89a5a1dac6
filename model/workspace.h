#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/checked_math.h"
#include "base/ids.h"
#include "model/second_term.h"
#include "model/stage_backend.h"

namespace shoal {

// Logits are made for at most this many wanted rows at a time, so that 512 of them over a vocabulary of
// 262,144 need no 512 MiB. Each stands twice in the product: its first and its second term.
inline constexpr std::size_t kHeadTileRows = 8;

// Where a row of the micro-batch belongs.
struct RowPlace {
  std::uint32_t group = 0;
  std::uint32_t position = 0;
};

// Consecutive rows of one group that are attended together.
struct RowTile {
  std::uint32_t first_row = 0;
  std::uint32_t num_rows = 0;
};

// A row whose next token is asked for. `row` counts the rows that `hidden` has.
struct WantedRow {
  std::uint32_t row = 0;
  std::uint32_t group = 0;
  std::uint32_t position = 0;
  TokenId target = -1;  // the known next token
};

// Hands out 64-byte aligned pieces of one allocation. Without memory it only counts, so that what is planned
// is what is allocated.
class Arena {
 public:
  explicit Arena(std::byte* memory) : memory_(memory) {}

  template <typename T>
  T* take(std::size_t count) {
    std::byte* piece = memory_ ? memory_ + used_ : nullptr;
    used_ += align_up(count * sizeof(T), 64);
    return reinterpret_cast<T*>(piece);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* memory_;
  std::size_t used_ = 0;
};

// A stage's scratch. Pieces that never live at the same time share memory.
struct Workspace {
  float* hidden = nullptr;    // [max_rows, hidden_size] the residual stream
  float* branch = nullptr;    // [max_rows, hidden_size] what a block's half reads at first and adds at last
  float* q = nullptr;         // [max_rows, num_heads * head_dim]
  float* k = nullptr;         // [max_rows, num_kv_heads * head_dim]
  float* v = nullptr;         // as k
  float* attended = nullptr;  // as q
  float* gate = nullptr;      // [max_rows, intermediate_size]; shares memory with q, k, v, attended
  float* up = nullptr;        // as gate
  std::byte* quantised = nullptr;  // rows of the widest input of any product
  SecondTermScratch second_term;
  float* cos = nullptr;        // [RoPE kinds, max_rows, rope_dim/2]
  float* sin = nullptr;        // as cos
  float* attention = nullptr;  // [threads, attention_floats]
  std::size_t attention_floats = 0;
  std::byte** keys = nullptr;    // [kMaxGroupsPerStep, table_entries] of the layer at work
  std::byte** values = nullptr;  // as keys
  RowPlace* rows = nullptr;      // [max_rows]
  RowTile* tiles = nullptr;      // [max_rows] at most
  WantedRow* wanted = nullptr;   // [max_rows]
  float* logits = nullptr;       // [2 * kHeadTileRows, head rows here]
  float* candidates = nullptr;   // [threads, 2 * head rows here]

  static Workspace lay_out(Arena& arena, const StageSpec& spec, const ModelConfig& config,
                           std::size_t num_threads);
};

// The layers among a stage's units.
Range layers_of(Range units, const ModelConfig& config);
// Vocabulary rows of head blocks [blocks.begin, blocks.end).
Range head_rows_of(Range blocks, const ModelConfig& config);

}  // namespace shoal
