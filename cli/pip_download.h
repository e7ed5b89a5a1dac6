#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/result.h"

namespace shoal {

// Fetches one Python package's wheel, without its dependencies and without running anything of it, into
// `directory` with the user's own pip, whose settings decide from where. Returns the wheel's path.
// on_bytes(bytes in the directory) is called about ten times a second. Errors: NotFound (no pip here),
// Unavailable (pip's own last words).
Result<std::string> pip_download(const std::string& package, const std::string& directory,
                                 const std::function<void(std::uint64_t)>& on_bytes,
                                 const std::atomic<bool>& stop);

}  // namespace shoal
