#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>

#include "base/ids.h"
#include "base/micro_batch.h"

namespace shoal {

// Which steps one stage has taken. The hub numbers each sequence's steps and never reuses a number; a frame
// is taken whole or not at all. Closed sequences are remembered for a while: a repeat that comes after the
// close must neither open them again nor count as a gap.
class StepWindow {
 public:
  enum class Verdict {
    Take,    // every group continues its sequence, starts one at position 0 (also one that was closed, with
             // its next step: it was parked), or closes one nobody knows
    Repeat,  // every group was taken before: answer from the log
    Gap,     // some step before it is missing
  };
  struct Decision {
    Verdict verdict = Verdict::Take;
    const RowGroup* group = nullptr;  // the first that does not fit
    StepNumber expected{};            // 0: the sequence is unknown here, or over
  };

  Decision judge(std::span<const RowGroup> groups) const;
  void take(std::span<const RowGroup> groups);
  std::size_t num_sequences() const { return last_.size() - closed_.size(); }
  // Once these, which judge() would take, are taken. Closed ones are freed before rows are run.
  std::size_t num_sequences_with(std::span<const RowGroup> groups) const;

 private:
  struct Last {
    StepNumber step{};
    bool closed = false;
  };
  static constexpr std::size_t kClosedRemembered = 1024;

  void close(const RowGroup& group);

  std::map<SequenceId, Last> last_;
  std::deque<SequenceId> closed_;  // oldest first
};

}  // namespace shoal
