#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/ids.h"

namespace shoal {

// Within one text, most words come again: their ids are copied from where they stand in the output. Remembers
// the latest piece per slot, so it is bounded and never wrong. For one text, one output and one thread; the
// pieces are views, and what they view must outlive the cache.
class PieceCache {
 public:
  explicit PieceCache(std::size_t text_bytes)
      : slots_(std::bit_ceil(std::clamp<std::size_t>(text_bytes / 4, 16, kMaxSlots))) {}

  // Appends the ids of `piece` to `ids`: by copying, or else by calling encode(), which appends them.
  template <typename Encode>
  void append(std::string_view piece, std::vector<TokenId>& ids, Encode encode) {
    if (piece.size() > kMaxPieceBytes) return encode();
    Slot& slot = slots_[std::hash<std::string_view>{}(piece) & (slots_.size() - 1)];
    if (slot.piece == piece) {
      for (std::size_t i = 0; i < slot.count; ++i) ids.push_back(ids[slot.first + i]);
      return;
    }
    const std::size_t first = ids.size();
    encode();
    slot = {piece, first, ids.size() - first};
  }

 private:
  static constexpr std::size_t kMaxSlots = 1u << 15;
  static constexpr std::size_t kMaxPieceBytes = 64;

  struct Slot {
    std::string_view piece;
    std::size_t first = 0;  // in the output
    std::size_t count = 0;
  };
  std::vector<Slot> slots_;
};

}  // namespace shoal
