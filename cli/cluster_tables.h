#pragma once

#include <string>

#include "base/result.h"

namespace shoal {

// What GET /api/cluster says, in words for people. Fields that are missing show as "-"; anything that is no
// JSON object is Corrupt.

// One line of state, a table of the devices, predictions beside measurements, and what the cluster does now.
Result<std::string> render_status(const std::string& cluster_json);

// The plan that serves (or the next one): each stage with its predicted and measured time and the hop to the
// next, then the whole: tokens per second predicted beside measured, and how good the plan is known to be.
Result<std::string> render_plan(const std::string& cluster_json);

// {"epoch":..., "plan":..., "next_plan":..., "links":...} of the same, for `shoal plan --json`.
Result<std::string> plan_json(const std::string& cluster_json);

}  // namespace shoal
