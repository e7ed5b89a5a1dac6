#include "cli/plan_problem.h"

#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cli/plan_answer.h"
#include "partition/planner.h"
#include "tests/cli/problem_oracle.h"
#include "tests/support/slow_run.h"

namespace shoal {
namespace {

using Json = nlohmann::json;

Objective objective_of(const std::string& name) {
  return name == "latency" ? Objective::Latency : Objective::Throughput;
}

struct Tally {
  int problems = 0;
  int infeasible = 0;
  int several_devices = 0;
  int rings = 0;
  int pinned = 0;
};

void check_against_oracle(const Json& problem, const std::string& objective, Tally& tally) {
  const std::optional<double> truth = best_value(problem, objective);
  const Result<PlanProblem> read = read_plan_problem(problem.dump(), objective_of(objective));
  REQUIRE(read);
  const Result<Plan> plan = make_plan(*read);
  ++tally.problems;
  REQUIRE(plan.has_value() == truth.has_value());
  if (!truth) {
    ++tally.infeasible;
    return;
  }
  const Json answer = Json::parse(plan_answer_json(*read, *plan, 0.5));
  const std::optional<OracleValue> value = judge(problem, objective, answer["stages"]);
  REQUIRE(value);
  const double ours = objective == "latency" ? value->seconds : value->bottleneck;
  CHECK(ours == doctest::Approx(*truth).epsilon(1e-9));
  CHECK(answer["seconds"].get<double>() == doctest::Approx(value->seconds).epsilon(1e-9));
  CHECK(answer["bottleneck_seconds"].get<double>() == doctest::Approx(value->bottleneck).epsilon(1e-9));
  CHECK(answer["lower_bound"].get<double>() == doctest::Approx(*truth).epsilon(1e-9));
  CHECK(answer["optimal"].get<bool>());
  CHECK(answer["solve_seconds"].get<double>() == 0.5);
  const auto& stages = answer["stages"];
  tally.several_devices += stages.size() > 1;
  tally.rings += stages.size() > 1 && stages.front()["device"] == stages.back()["device"];
  tally.pinned += !problem["pins"].empty();
}

// Of this many; all of them in the long run.
int count_of(int all) {
  return std::getenv("SHOAL_LONG") != nullptr ? all : all / 10 / static_cast<int>(kCaseStride);
}

}  // namespace

TEST_CASE("a problem file gets the plan that brute force over its own words finds") {
  for (const std::string objective : {"latency", "throughput"}) {
    for (const bool uniform : {false, true}) {
      Tally tally;
      for (int i = 0; i < count_of(5'000); ++i) {
        const std::uint64_t seed = 7'000'000 + static_cast<std::uint64_t>(i);
        CAPTURE(seed);
        CAPTURE(objective);
        const Json problem = random_file_problem(
            seed, {.num_devices = 1 + i % 5, .num_units = 1 + i / 5 % 7, .uniform = uniform});
        check_against_oracle(problem, objective, tally);
      }
      std::printf(
          "  %d problems (%s%s): %d without a plan, %d plans on several devices, %d rings, %d with pins\n",
          tally.problems, objective.c_str(), uniform ? ", uniform" : "", tally.infeasible,
          tally.several_devices, tally.rings, tally.pinned);
      if (kIsSlowRun) continue;
      CHECK(tally.infeasible > tally.problems / 20);
      CHECK(tally.several_devices > tally.problems / 10);
      CHECK(tally.pinned > tally.problems / 20);
      CHECK((tally.rings > 0) == (objective == "latency"));
    }
  }
}

namespace {

Json small_problem() {
  Json problem = random_file_problem(5, {.num_devices = 3, .num_units = 4});
  problem["source"] = "d0";
  problem["pins"] = Json::object();
  return problem;
}

std::string fault_of(const Json& problem) {
  const Result<PlanProblem> read = read_plan_problem(problem.dump(), Objective::Latency);
  REQUIRE_FALSE(read);
  CHECK(read.error().code() == ErrorCode::InvalidArgument);
  return read.error().message();
}

}  // namespace

TEST_CASE("what is wrong in a problem file is told with its place") {
  Json problem = small_problem();
  REQUIRE(read_plan_problem(problem.dump(), Objective::Latency));
  std::string what;
  SUBCASE("negative bytes") {
    problem["units"][3]["memory_bytes"] = -1, what = "units[3].memory_bytes: is -1";
  }
  SUBCASE("half a byte") {
    problem["units"][0]["activation_bytes"] = 1.5, what = "units[0].activation_bytes: is 1.5";
  }
  SUBCASE("absurd bytes") {
    problem["units"][1]["memory_bytes"] = 1e19, what = "units[1].memory_bytes: is 1e+19";
  }
  SUBCASE("a text for bytes") {
    problem["devices"][2]["memory_bytes"] = "4G", what = "devices[2].memory_bytes: is string";
  }
  SUBCASE("negative seconds") {
    problem["devices"][1]["seconds"][2] = -0.5, what = "devices[1].seconds[2]: is -0.5";
  }
  SUBCASE("absurd seconds") {
    problem["devices"][1]["seconds"][2] = 1e10, what = "devices[1].seconds[2]: is 1";
  }
  SUBCASE("too few seconds") {
    problem["devices"][1]["seconds"].erase(0), what = "devices[1].seconds: has 3 entries instead of 4";
  }
  SUBCASE("no seconds") { problem["devices"][1].erase("seconds"), what = "devices[1].seconds: is missing"; }
  SUBCASE("no devices") {
    problem["devices"] = Json::array(), what = "devices: has 0 entries instead of 1 to 1024";
  }
  SUBCASE("units that are no list") { problem["units"] = 3, what = "units: is a list, not number"; }
  SUBCASE("a unit that is no object") {
    problem["units"][1] = Json(), what = "units[1]: is an object, not null";
  }
  SUBCASE("a device twice") {
    problem["devices"][1]["name"] = "d0", what = "devices[1].name: \"d0\" is the name of two";
  }
  SUBCASE("a name that is none") { problem["devices"][1]["name"] = 7, what = "devices[1].name: is a text"; }
  SUBCASE("a short row") {
    problem["links"]["latency_s"][1].erase(0), what = "links.latency_s[1]: has 2 entries instead of 3";
  }
  SUBCASE("a missing row") {
    problem["links"]["bytes_per_s"].erase(0), what = "links.bytes_per_s: has 2 entries instead of 3";
  }
  SUBCASE("a negative latency") {
    problem["links"]["latency_s"][0][2] = -1e-3, what = "links.latency_s[0][2]: is -0.001";
  }
  SUBCASE("a negative rate") {
    problem["links"]["bytes_per_s"][2][0] = -5, what = "links.bytes_per_s[2][0]: is -5";
  }
  SUBCASE("no rate") {
    problem["links"]["bytes_per_s"][2][0] = Json(), what = "links.bytes_per_s[2][0]: is null";
  }
  SUBCASE("a misspelt key") {
    problem["links"]["bytes_per_sec"] = 1,
    what = "links.bytes_per_sec: unknown key; did you mean \"bytes_per_s\"?";
  }
  SUBCASE("an unknown key") {
    problem["sauce"] = "d0", what = "sauce: unknown key; did you mean \"source\"?";
  }
  SUBCASE("an unknown source") {
    problem["source"] = "d9", what = "source: no device is called \"d9\"; did you mean";
  }
  SUBCASE("a source that is no name") {
    problem["source"] = 0, what = "source: is a device's name, not number";
  }
  SUBCASE("a return that is no answer") {
    problem["return_to_source"] = 1, what = "return_to_source: is true or false";
  }
  SUBCASE("a pin of no unit") {
    problem["pins"]["unit-9"] = "d0", what = "pins.unit-9: no unit has this name; did you";
  }
  SUBCASE("a pin to no device") {
    problem["pins"]["unit-1"] = "x", what = "pins.unit-1: no device is called \"x\"";
  }
  SUBCASE("a unit pinned twice") {
    problem["pins"] = {{"unit-1", "d0"}, {"1", "d1"}}, what = "this unit is pinned twice";
  }
  SUBCASE("a pin of two units") {
    problem["units"][0]["name"] = "unit-1";
    problem["pins"]["unit-1"] = "d0", what = "pins.unit-1: several units have this name";
  }
  const std::string message = fault_of(problem);
  CAPTURE(message);
  CAPTURE(what);
  CHECK(message.find(what) != std::string::npos);
}

TEST_CASE("what is no JSON, or only almost, is refused") {
  const auto message = [](const std::string& text) {
    const Result<PlanProblem> read = read_plan_problem(text, Objective::Latency);
    REQUIRE_FALSE(read);
    return read.error().message();
  };
  CHECK(message("").starts_with("no JSON: "));
  CHECK(message("{\"units\": [").starts_with("no JSON: "));
  CHECK(message("[]") == "the problem is no JSON object");
  CHECK(message("{\"source\": null, \"source\": \"a\"}") == "the key \"source\" stands twice in one object");
  CHECK(message("{\"units\": NaN}").starts_with("devices: is missing"));
  CHECK(message(std::string(100'000, '[')).starts_with("no JSON: "));
  std::string problem = small_problem().dump();
  problem.replace(problem.find("\"input_bytes\":") + 14, 1, "NaN, \"x\":");
  CHECK(message(problem).find("unknown key") != std::string::npos);
}

TEST_CASE("infinite and zero figures mean what they say") {
  Json problem = small_problem();
  const auto with = [&](const std::string& place, const std::string& word) {
    std::string text = problem.dump();
    const std::size_t at = text.find(place);
    REQUIRE(at != std::string::npos);
    return text.replace(at, place.size(), word);
  };
  problem["links"]["bytes_per_s"][0][1] = 12345;
  Result<PlanProblem> read = read_plan_problem(with("12345", "Infinity"), Objective::Latency);
  REQUIRE(read);
  CHECK_FALSE(read->links[0][1].closed);
  CHECK(read->links[0][1].bytes_per_second >= 1e300);
  CHECK_FALSE(read_plan_problem(with("12345", "-Infinity"), Objective::Latency));
  CHECK_FALSE(read_plan_problem(with("12345", "NaN"), Objective::Latency));
  CHECK(read_plan_problem(with("12345", "0"), Objective::Latency)->links[0][1].closed);
  problem["links"]["bytes_per_s"][0][1] = 1e6;
  problem["links"]["latency_s"][0][1] = 12345;
  CHECK(read_plan_problem(with("12345", "Infinity"), Objective::Latency)->links[0][1].closed);
  problem["links"]["latency_s"][0][1] = 0;
  problem["devices"][1]["seconds"][2] = 12345;
  read = read_plan_problem(with("12345", "Infinity"), Objective::Latency);
  REQUIRE(read);
  CHECK(read->devices[1].bans == std::vector<bool>{false, false, true, false});
  problem["devices"][1]["seconds"][2] = 1;
  problem["units"][1]["name"] = "Infinity \\ \"NaN\" Infinity";
  problem["devices"][1]["memory_bytes"] = 1e40;
  read = read_plan_problem(problem.dump(), Objective::Latency);
  REQUIRE(read);
  CHECK(read->units[1].name == "Infinity \\ \"NaN\" Infinity");
  CHECK(read->devices[1].memory_bytes > std::uint64_t{1} << 60);
}

TEST_CASE("what may be left out is left out") {
  Json problem = small_problem();
  for (const char* key : {"source", "input_bytes", "return_to_source", "return_bytes", "pins"})
    problem.erase(key);
  const Result<PlanProblem> read = read_plan_problem(problem.dump(), Objective::Latency);
  REQUIRE(read);
  CHECK(read->ring == Ring::NoDevice);
  CHECK(read->from_hub[2].latency == 0);
  CHECK(read->input_bytes == 0);
}

TEST_CASE("a pin may name a unit by its number") {
  Json problem = small_problem();
  problem["pins"]["2"] = "d1";
  const Result<PlanProblem> read = read_plan_problem(problem.dump(), Objective::Latency);
  REQUIRE(read);
  CHECK(read->pins == std::vector<Pin>{{2, 1}});
}

TEST_CASE("the answer is readable, and errors are JSON too") {
  Json problem = small_problem();
  for (Json& device : problem["devices"]) device["memory_bytes"] = 100'000'000;
  const Result<PlanProblem> read = read_plan_problem(problem.dump(), Objective::Latency);
  REQUIRE(read);
  const Result<Plan> plan = make_plan(*read);
  REQUIRE(plan);
  const std::string text = render_plan_answer(*read, *plan, 0.01);
  CHECK(text.find("proven the best") != std::string::npos);
  CHECK(text.find("unit-0") != std::string::npos);
  const Json error = Json::parse(error_json(Error(ErrorCode::OutOfMemory, "3 MB short")));
  CHECK(error["error"] == "3 MB short");
  CHECK(error["code"] == "out_of_memory");
}

}  // namespace shoal
