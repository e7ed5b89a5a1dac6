#pragma once

#include <string>
#include <vector>

namespace shoal {

// For a word that is none of the right ones: `; did you mean "nearest"?`, or all of them where none is near;
// "" where there are none.
std::string nearest_hint(const std::string& word, const std::vector<std::string>& right);

}  // namespace shoal
