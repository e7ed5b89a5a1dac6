#include "cli/plan_answer.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/table.h"
#include "partition/problem_check.h"

namespace shoal {
namespace {

using Json = nlohmann::ordered_json;

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string seconds_text(double seconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g s", seconds);
  return text;
}

std::string units_text(const PlanProblem& problem, Range units) {
  const std::string first = unit_name(problem, units.begin);
  return units.size() == 1 ? first : first + " to " + unit_name(problem, units.end - 1);
}

std::string judgement(const PlanProblem& problem, const Plan& plan) {
  if (plan.optimal) return "proven the best";
  const double value = problem.objective == Objective::Throughput ? plan.prediction.bottleneck_seconds
                                                                  : plan.prediction.seconds_per_token;
  char text[96];
  std::snprintf(text, sizeof text, "no plan is below %.6g s: at most %.2f %% from the best", plan.lower_bound,
                plan.lower_bound > 0 ? 100 * (value / plan.lower_bound - 1) : 100.0);
  return text;
}

}  // namespace

std::string plan_answer_json(const PlanProblem& problem, const Plan& plan, double solve_seconds) {
  Json stages = Json::array();
  for (const auto& [device, units] : plan.stages) {
    stages.push_back({{"device", problem.devices[device].name}, {"begin", units.begin}, {"end", units.end}});
  }
  return line_of({{"stages", std::move(stages)},
                  {"seconds", plan.prediction.seconds_per_token},
                  {"bottleneck_seconds", plan.prediction.bottleneck_seconds},
                  {"lower_bound", plan.lower_bound},
                  {"optimal", plan.optimal},
                  {"solve_seconds", solve_seconds}});
}

std::string render_plan_answer(const PlanProblem& problem, const Plan& plan, double solve_seconds) {
  TextTable table({{"device"},
                   {"units"},
                   {"", TextTable::Align::Right},
                   {"hop before", TextTable::Align::Right},
                   {"compute", TextTable::Align::Right},
                   {"memory in all", TextTable::Align::Right}});
  for (std::size_t i = 0; i < plan.stages.size(); ++i) {
    const auto [device, units] = plan.stages[i];
    table.add_row({problem.devices[device].name,
                   "[" + std::to_string(units.begin) + ", " + std::to_string(units.end) + ")",
                   units_text(problem, units), seconds_text(plan.prediction.hop_seconds[i]),
                   seconds_text(plan.prediction.stage_seconds[i]),
                   size_text(plan.prediction.memory_bytes[device]) + " of " +
                       size_text(problem.devices[device].memory_bytes)});
  }
  return table.render() + "back to the source: " + seconds_text(plan.prediction.hop_seconds.back()) +
         "\nlatency " + seconds_text(plan.prediction.seconds_per_token) + ", bottleneck " +
         seconds_text(plan.prediction.bottleneck_seconds) + "; " + judgement(problem, plan) + " (solved in " +
         seconds_text(solve_seconds) + ")\n";
}

std::string error_json(const Error& error) {
  return line_of({{"error", error.message()}, {"code", name_of(error.code())}});
}

}  // namespace shoal
