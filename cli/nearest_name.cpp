#include "cli/nearest_name.h"

#include <algorithm>
#include <utility>

namespace shoal {
namespace {

// Edits from one word to the other. Source: Damerau 1964, as the optimal string alignment: three rows of the
// table of distances between beginnings of the words.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last;
  std::vector<std::size_t> last(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> row(b.size() + 1, i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = last[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, substituted});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last = std::exchange(last, std::move(row));
  }
  return last[b.size()];
}

}  // namespace

std::string nearest_word(std::string_view word, const std::vector<std::string>& right) {
  constexpr std::size_t kLeastBeginning = 2;
  std::string nearest;
  std::size_t least = std::max<std::size_t>(1, word.size() / 2) + 1;
  for (const std::string& candidate : right) {
    const bool is_begun = word.size() >= kLeastBeginning && candidate.starts_with(word);
    const std::size_t edits = is_begun ? 1 : distance(word, candidate);
    if (edits >= least) continue;
    least = edits;
    nearest = candidate;
  }
  return nearest;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& right) {
  const std::string nearest = nearest_word(word, right);
  return nearest.empty() ? "" : "; did you mean \"" + nearest + "\"?";
}

std::string nearest_hint(std::string_view word, const std::vector<std::string>& right) {
  constexpr std::size_t kMostListed = 20;
  std::string hint = did_you_mean(word, right);
  if (!hint.empty() || right.empty()) return hint;
  std::string list;
  for (std::size_t i = 0; i < std::min(right.size(), kMostListed); ++i)
    list += (i == 0 ? "" : ", ") + right[i];
  return "; possible here: " + list + (right.size() > kMostListed ? ", ..." : "");
}

}  // namespace shoal
