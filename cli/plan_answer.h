#pragma once

#include <string>

#include "base/result.h"
#include "partition/plan.h"
#include "partition/problem.h"

namespace shoal {

// What `shoal plan --problem` says about a problem's plan: as one line of JSON
//   {"stages": [{"device", "begin", "end"}...], "seconds", "bottleneck_seconds", "lower_bound", "optimal",
//    "solve_seconds"}
// where lower_bound is of the objective and `seconds` the latency, whatever the objective; or as a table.
std::string plan_answer_json(const PlanProblem& problem, const Plan& plan, double solve_seconds);
std::string render_plan_answer(const PlanProblem& problem, const Plan& plan, double solve_seconds);

// {"error": the message, "code": its name}.
std::string error_json(const Error& error);

}  // namespace shoal
