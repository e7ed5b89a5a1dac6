// Runs the built `shoal simulate` over the configs that ship.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/cli/child_output.h"
#include "tests/cli/scratch.h"

namespace shoal {
namespace {

using Json = nlohmann::json;

std::string config_path(const std::string& name) {
  const auto root = std::filesystem::path(SHOAL_TEST_DATA).parent_path().parent_path();
  return (root / "cluster-configs" / name).string();
}

// In a home where no model is: shapes are enough.
ProgramRun simulate(std::vector<std::string> arguments) {
  static const ScratchFolder home;
  arguments.insert(arguments.begin(), {SHOAL_BIN_DIR "/shoal", "simulate"});
  return run_program({std::move(arguments),
                      {{"HOME", home.path()},
                       {"XDG_CACHE_HOME", home.file("cache")},
                       {"XDG_STATE_HOME", home.file("state")}}});
}

Json report_of(std::vector<std::string> arguments) {
  arguments.push_back("--json");
  const ProgramRun run = simulate(std::move(arguments));
  REQUIRE_MESSAGE(run.status == 0, run.output);
  return Json::parse(run.output);
}

}  // namespace

TEST_CASE("every config with classes that ships can be simulated, and every request is answered") {
  for (const char* name : {"home-three-devices.yaml", "smart-city-district.yaml", "hospital-ward.yaml",
                           "factory-line.yaml", "smart-city-200.yaml"}) {
    CAPTURE(name);
    const Json report = report_of({config_path(name), "--requests", "25"});
    CHECK(report["finished"] == 25);
    CHECK(report["failed"] == 0);
    CHECK(report["tokens"] > 25);
    CHECK(report["first_token_seconds"]["p99"] >= report["first_token_seconds"]["p50"]);
    CHECK(report["joules_per_token"] > 0);
    CHECK(report["bottleneck"].get<std::string>().size() > 20);
    for (const Json& pipeline : report["pipelines"]) CHECK(pipeline["stages"].size() >= 1);
  }
}

TEST_CASE("patients' words stay on the devices that the ward has named") {
  const Json report = report_of({config_path("hospital-ward.yaml"), "--requests", "40"});
  for (const Json& device : report["devices"]) {
    const std::string name = device["name"];
    CAPTURE(name);
    const bool is_public = name.starts_with("display-") || name == "kiosk";
    if (is_public) CHECK(device["busy"] == 0);
    if (is_public) CHECK(device["holds"] == "");
  }
  for (const Json& stage : report["pipelines"][0]["stages"])
    CHECK_FALSE(stage["device"].get<std::string>().starts_with("display-"));
}

TEST_CASE("the same seed gives the same report, to the byte") {
  const std::vector<std::string> arguments = {config_path("smart-city-district.yaml"), "--requests", "40",
                                              "--json"};
  const ProgramRun first = simulate(arguments);
  CHECK(first.output == simulate(arguments).output);
  std::vector<std::string> other = arguments;
  other.insert(other.end(), {"--seed", "99"});
  CHECK(first.output != simulate(other).output);
}

TEST_CASE("the command line wins over the file") {
  const std::string config = config_path("home-three-devices.yaml");
  CHECK(report_of({config, "--requests", "7"})["requests"] == 7);
  const Json minute = report_of({config, "--duration", "1min", "--rate", "2"});
  CHECK(minute["requests"] > 80);
  CHECK(minute["requests"] < 160);
  CHECK(report_of({config, "--requests", "3", "--model",
                   "llama3.2-3b"})["pipelines"][0]["predicted_seconds_per_token"] >
        report_of({config, "--requests", "3"})["pipelines"][0]["predicted_seconds_per_token"]);
  const ProgramRun text = simulate({config, "--requests", "5"});
  for (const char* part : {"5 answered", "time to first token", "p95", "mini-pc", "J a token"}) {
    CAPTURE(part);
    CHECK(text.output.find(part) != std::string::npos);
  }
}

TEST_CASE("its requests can be printed, and come back as a trace") {
  const ProgramRun printed = simulate({config_path("factory-line.yaml"), "--requests", "20", "--arrivals"});
  REQUIRE(printed.status == 0);
  CHECK(std::count(printed.output.begin(), printed.output.end(), '\n') == 21);
  const ScratchFolder scratch;
  scratch.write("trace.csv", printed.output);
  scratch.write("device-classes.yaml",
                "version: 1\nclasses: [{name: k, memory: 2G, threads: 4, read_gb_per_s: 15, int8_gmac_per_s: "
                "50, disk_mb_per_s: "
                "100}]\n");
  const std::string config = scratch.write(
      "c.yaml",
      "version: 1\nmodels: [gemma3-270m]\ndevices: [{name: a, class: k}]\narrivals: {trace: trace.csv}\n");
  CHECK(report_of({config})["finished"] == 20);
}

TEST_CASE("misuse of simulate ends with status 2 and says what is wrong") {
  const std::string home = config_path("home-three-devices.yaml");
  CHECK(simulate({}).status == 2);
  CHECK(simulate({"/no/such.yaml"}).status == 2);
  CHECK(simulate({home, "--requests", "0"}).status == 2);
  CHECK(simulate({home, "--duration", "soon"}).output.find("is no time") != std::string::npos);
  const ProgramRun classless = simulate({config_path("local-3.yaml")});
  CHECK(classless.status == 2);
  CHECK(classless.output.find("has no class") != std::string::npos);
  const ProgramRun unknown = simulate({home, "--model", "no-such-model"});
  CHECK(unknown.status == 1);
  CHECK(unknown.output.find("llama3.2-1b") != std::string::npos);
}

TEST_CASE("200 devices and 1,000 requests take less than a minute" *
          doctest::skip(std::getenv("SHOAL_LONG") == nullptr)) {
  const auto begin = std::chrono::steady_clock::now();
  const Json report = report_of({config_path("smart-city-200.yaml"), "--requests", "1000"});
  CHECK(report["finished"] == 1000);
  CHECK(report["devices"].size() == 200);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}

}  // namespace shoal
