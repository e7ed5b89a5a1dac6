#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/clock.h"

namespace shoal {

// The operations of a step, in the order in which a token meets them. Each runs on all threads and ends
// before the next begins, so that their times add up to the step's.
enum class Operation : std::uint8_t {
  Embedding,
  Angles,       // cosines and sines of the step's positions
  Normalise,    // a layer's input, quantised
  QkvProducts,  // with their first term
  SecondTerms,  // of every product but the head's
  PlaceRows,    // bias, head norms, rotation, K and V into the cache
  Attention,
  QuantiseAttended,
  AttnOutputProduct,
  AddAndNormalise,  // the attention's branch onto the hidden rows, these normalised and quantised
  GateUpProducts,   // activated
  Activate,         // their results quantised
  DownProduct,
  AddBranch,      // the feed-forward's
  HeadNormalise,  // wanted rows: gathered, normalised, quantised
  HeadProduct,    // with both terms
  Candidates,
};
inline constexpr std::size_t kNumOperations = 17;

constexpr std::string_view name_of(Operation operation) {
  constexpr std::array<std::string_view, kNumOperations> kNames = {
      "embedding", "angles",      "normalise",         "q k v",   "second terms", "place rows", "attention",
      "quantise",  "attn output", "add and normalise", "gate up", "activate",     "down",       "add",
      "head norm", "head",        "candidates"};
  return kNames[static_cast<std::size_t>(operation)];
}

// Where a stage's time goes, for measurements; a stage that nobody measures has none and pays nothing.
// Written by the compute thread between two operations.
class OpTimes {
 public:
  struct Entry {
    Duration time{};
    std::uint64_t calls = 0;
  };

  void begin_step() { last_ = now(); }
  // The time since the last call belongs to `operation`.
  void end(Operation operation) {
    const Time at = now();
    Entry& entry = entries_[static_cast<std::size_t>(operation)];
    entry.time += at - last_;
    ++entry.calls;
    last_ = at;
  }
  const Entry& of(Operation operation) const { return entries_[static_cast<std::size_t>(operation)]; }
  void clear() { entries_ = {}; }

 private:
  static Time now() { return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now()); }

  std::array<Entry, kNumOperations> entries_{};
  Time last_{};
};

}  // namespace shoal
