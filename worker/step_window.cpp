#include "worker/step_window.h"

#include <utility>

namespace shoal {

StepWindow::Decision StepWindow::judge(std::span<const RowGroup> groups) const {
  std::size_t repeats = 0;
  for (const RowGroup& group : groups) {
    const auto last = last_.find(group.sequence);
    if (last == last_.end()) {
      const bool starts = group.first_position == 0 || (group.flags & kCloses);
      if (!starts) return {Verdict::Gap, &group, StepNumber{0}};
    } else if (raw(group.step) <= raw(last->second.step)) {
      ++repeats;
    } else if (last->second.closed) {
      // The hub parks a sequence by closing it; its replay begins with the very next step.
      const bool starts = group.first_position == 0 && group.step == next(last->second.step);
      if (!starts) return {Verdict::Gap, &group, StepNumber{0}};
    } else if (group.step != next(last->second.step)) {
      return {Verdict::Gap, &group, next(last->second.step)};
    }
  }
  if (repeats == 0) return {};
  if (repeats == groups.size()) return {Verdict::Repeat, nullptr, {}};
  return {Verdict::Gap, &groups.front(), StepNumber{0}};
}

std::size_t StepWindow::num_sequences_with(std::span<const RowGroup> groups) const {
  std::size_t count = num_sequences();
  for (const RowGroup& group : groups) {
    const auto last = last_.find(group.sequence);
    const bool is_open = last != last_.end() && !last->second.closed;
    const bool closes = (group.flags & kCloses) != 0;
    if (is_open && closes) --count;
    if (!is_open && !closes) ++count;
  }
  return count;
}

void StepWindow::take(std::span<const RowGroup> groups) {
  for (const RowGroup& group : groups) {
    if (group.flags & kCloses) {
      close(group);
    } else {
      Last& last = last_[group.sequence];
      last.step = group.step;
      if (std::exchange(last.closed, false)) std::erase(closed_, group.sequence);
    }
  }
}

void StepWindow::close(const RowGroup& group) {
  Last& last = last_[group.sequence];
  last.step = group.step;
  if (last.closed) return;
  last.closed = true;
  closed_.push_back(group.sequence);
  if (closed_.size() <= kClosedRemembered) return;
  last_.erase(closed_.front());
  closed_.pop_front();
}

}  // namespace shoal
