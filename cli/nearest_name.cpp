#include "cli/nearest_name.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr std::size_t kMostListed = 20;

// Edits from one word to the other (Levenshtein).
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest_hint(const std::string& word, const std::vector<std::string>& right) {
  if (right.empty()) return "";
  const auto nearest =
      std::ranges::min_element(right, {}, [&](const std::string& r) { return distance(word, r); });
  if (distance(word, *nearest) <= std::max<std::size_t>(2, word.size() / 2))
    return "; did you mean \"" + *nearest + "\"?";
  std::string list;
  for (std::size_t i = 0; i < std::min(right.size(), kMostListed); ++i)
    list += (i == 0 ? "" : ", ") + right[i];
  return "; possible here: " + list + (right.size() > kMostListed ? ", ..." : "");
}

}  // namespace shoal
