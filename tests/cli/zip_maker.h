#pragma once

#include <string>
#include <utility>
#include <vector>

namespace shoal {

// A zip archive of the members, stored (method 0), byte by byte after the format's own description (PKWARE
// APPNOTE 6.3), so that the reader is not judged by the library it uses.
std::string make_zip(const std::vector<std::pair<std::string, std::string>>& members);

}  // namespace shoal
