#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"

namespace shoal {

// GGUF metadata where absent and ill-typed are different things: an absent key is nullopt (or, for
// `required_`, an error), and one of another kind is an error that names it.
Result<std::optional<bool>> optional_bool(const GgufFile& file, std::string_view key);
Result<std::optional<std::string_view>> optional_string(const GgufFile& file, std::string_view key);
Result<std::optional<std::int64_t>> optional_int(const GgufFile& file, std::string_view key);
Result<std::vector<std::string_view>> required_strings(const GgufFile& file, std::string_view key);
Result<std::vector<std::int64_t>> required_ints(const GgufFile& file, std::string_view key);
Result<std::vector<float>> required_floats(const GgufFile& file, std::string_view key);

}  // namespace shoal
