#include "worker/step_window.h"

namespace shoal {

StepWindow::Decision StepWindow::judge(std::span<const RowGroup> groups) const {
  std::size_t repeats = 0;
  for (const RowGroup& group : groups) {
    const auto last = last_.find(group.sequence);
    if (last == last_.end()) {
      // A closed sequence is unknown again, so its repeated close does nothing; rows must begin at the beginning.
      const bool starts = group.first_position == 0 || (group.flags & kCloses);
      if (!starts) return {Verdict::Gap, &group, StepNumber{0}};
    } else if (raw(group.step) <= raw(last->second)) {
      ++repeats;
    } else if (group.step != next(last->second)) {
      return {Verdict::Gap, &group, next(last->second)};
    }
  }
  if (repeats == 0) return {};
  if (repeats == groups.size()) return {Verdict::Repeat, nullptr, {}};
  return {Verdict::Gap, &groups.front(), StepNumber{0}};
}

void StepWindow::take(std::span<const RowGroup> groups) {
  for (const RowGroup& group : groups) {
    if (group.flags & kCloses) {
      last_.erase(group.sequence);
    } else {
      last_[group.sequence] = group.step;
    }
  }
}

}  // namespace shoal
