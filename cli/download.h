#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"

namespace shoal {

using BytesProgress = std::function<void(std::uint64_t done, std::uint64_t total)>;  // total 0: not known

// Fetches an http or https URL into `path`. Bytes gather in PATH.part, with the server's mark of this version
// (ETag or Last-Modified) in PATH.part.from; a fetch that broke off is taken up where it stopped if the
// server still has that very version, else begun again. The finished file takes its name at once. Follows at
// most 5 redirections. Errors: Unavailable (with the server's answer), or that `stop` was set.
Status download(const std::string& url, const std::string& path, const BytesProgress& progress,
                const std::atomic<bool>& stop);

}  // namespace shoal
