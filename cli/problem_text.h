#pragma once

#include <string>

#include "base/result.h"

namespace shoal {

// The text of a file of up to 256 MB, or of standard input if `path` is "-". NotFound if it cannot be read,
// InvalidArgument if it is larger.
Result<std::string> read_problem_text(const std::string& path);

// JSON has no word for infinite numbers and NaN; many programs write Infinity and NaN all the same. Outside
// strings these become numbers that stand for them: kInfinite or more, -kInfinite or less, and kNotANumber.
std::string spell_out_numbers(const std::string& text);
inline constexpr double kInfinite = 1e300;
inline constexpr double kNotANumber = -8.125e307;

}  // namespace shoal
