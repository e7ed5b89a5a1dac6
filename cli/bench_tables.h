#pragma once

#include <string>

#include "cli/bench.h"

namespace shoal {

// For people: the model, then a table for each variant, and its operations where they were measured.
std::string bench_text(const BenchReport& report);

// For programs: every sample, in tokens per second and shares of 1.
std::string bench_json(const BenchReport& report);

}  // namespace shoal
