#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shoal {

// The right word that a misspelt one most likely stands for; empty: none is near. Near is one that the word
// begins, or one that few edits make of it (insertions, deletions, substitutions, swaps of neighbours).
std::string nearest_word(std::string_view word, const std::vector<std::string>& right);

// "; did you mean \"status\"?", or nothing where no right word is near.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& right);

// The same, or all the right words (the first twenty) where none is near; "" where there are none.
std::string nearest_hint(std::string_view word, const std::vector<std::string>& right);

}  // namespace shoal
