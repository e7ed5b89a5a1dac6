#pragma once

#include <cstdint>
#include <map>
#include <span>

#include "base/ids.h"
#include "base/micro_batch.h"

namespace shoal {

// Which steps one stage has taken. The hub numbers each sequence's steps and never reuses a number; a frame is taken whole or not at all.
class StepWindow {
 public:
  enum class Verdict {
    Take,      // every group continues its sequence, or starts one at position 0
    Repeat,    // every group was taken before: answer from the log
    Gap,       // some step before it is missing
  };
  struct Decision {
    Verdict verdict = Verdict::Take;
    const RowGroup* group = nullptr;  // the first that does not fit
    StepNumber expected{};
  };

  Decision judge(std::span<const RowGroup> groups) const;
  void take(std::span<const RowGroup> groups);
  void forget_all() { last_.clear(); }
  std::size_t num_sequences() const { return last_.size(); }

 private:
  std::map<SequenceId, StepNumber> last_;
};

}  // namespace shoal
