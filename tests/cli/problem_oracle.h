#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

namespace shoal {

// Planning problems in their file format, and what is true of them: written from the description of the
// format alone, without a line of the planner.

struct OracleShape {
  int num_devices = 3;
  int num_units = 5;
  bool uniform = false;  // all units but the ends alike
};

// Unequal devices and links, memory that is short in most problems; pins, closed links, a source and a return
// in some.
nlohmann::json random_file_problem(std::uint64_t seed, const OracleShape& shape);

struct OracleValue {
  double seconds = 0;     // latency
  double bottleneck = 0;  // the busiest device or link
};

// What a plan [{"device", "begin", "end"}...] costs; nullopt if it breaks a rule of the format (order,
// memory, pins, closed links, one run of units per device).
std::optional<OracleValue> judge(const nlohmann::json& problem, const std::string& objective,
                                 const nlohmann::json& stages);

// The least objective over all plans; nullopt if there is none.
std::optional<double> best_value(const nlohmann::json& problem, const std::string& objective);

}  // namespace shoal
