#include <algorithm>
#include <cstdio>
#include <fstream>

#include "cli/config_parts.h"

namespace shoal {
namespace {

constexpr std::uint32_t kMostTokens = 1 << 20;
constexpr std::uint32_t kMostRequests = 10'000'000;

void read_length(YamlMap& map, LengthRange& length) {
  map.require("least");
  map.require("most");
  map.integer("least", length.least, 1, kMostTokens);
  map.integer("most", length.most, 1, kMostTokens);
  map.real("median", length.median, 1, kMostTokens);
  map.real("spread", length.spread, 1, 100);
  if (map.has("least") && map.has("most") && length.most < length.least)
    map.fault("most", "\"most\" is below \"least\"");
  if (map.has("spread") && !map.has("median")) map.fault("spread", "\"spread\" is about a median: name one");
}

// Lines of seconds,prompt tokens,answer tokens; lines that begin with # and empty ones are passed over.
Status read_trace(const std::string& path, std::vector<PlannedRequest>& trace) {
  std::ifstream file(path);
  if (!file) return fail(ErrorCode::NotFound, path + " cannot be read");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    PlannedRequest request;
    char rest = 0;
    const int read = std::sscanf(line.c_str(), "%lf,%u,%u %c", &request.at_seconds, &request.prompt_tokens,
                                 &request.answer_tokens, &rest);
    const bool in_order = trace.empty() || request.at_seconds >= trace.back().at_seconds;
    const auto is_length = [](std::uint32_t tokens) { return tokens >= 1 && tokens <= kMostTokens; };
    if (read != 3 || !(request.at_seconds >= 0 && request.at_seconds < 1e9) ||
        !is_length(request.prompt_tokens) || !is_length(request.answer_tokens) || !in_order) {
      return fail(
          ErrorCode::InvalidArgument,
          path + ":" + std::to_string(number) +
              ": a line is SECONDS,PROMPT TOKENS,ANSWER TOKENS, and no line is earlier than the one before");
    }
    trace.push_back(request);
    if (trace.size() > kMostRequests) return fail(ErrorCode::InvalidArgument, path + " has too many lines");
  }
  if (trace.empty()) return fail(ErrorCode::InvalidArgument, path + " holds no request");
  return {};
}

FailureKind kind_of(const std::string& how) {
  return how == "process"   ? FailureKind::Process
         : how == "network" ? FailureKind::Network
                            : FailureKind::Power;
}

void read_planned(YamlMap& map, ClusterConfig& config) {
  PlannedFailure failure;
  std::string how = "power";
  for (const char* key : {"device", "at"}) map.require(key);
  map.text("device", failure.device);
  map.time("at", failure.at_seconds);
  map.time("lasts", failure.lasts_seconds);
  map.one_of("how", how, {"process", "power", "network"});
  failure.kind = kind_of(how);
  const bool exists =
      std::ranges::find(config.devices, failure.device, &DeviceConfig::name) != config.devices.end();
  std::vector<std::string> names;
  for (const DeviceConfig& device : config.devices) names.push_back(device.name);
  if (map.has("device") && !exists) map.fault_unknown("device", failure.device, names);
  config.failures.planned.push_back(std::move(failure));
}

void read_random(YamlMap& map, FailurePlan& failures) {
  std::string how = "power";
  map.require("mean_time_between");
  map.time("mean_time_between", failures.mean_seconds_between);
  map.time("lasts", failures.random_lasts_seconds);
  map.one_of("how", how, {"process", "power", "network"});
  failures.random_kind = kind_of(how);
  if (map.has("mean_time_between") && failures.mean_seconds_between < 1)
    map.fault("mean_time_between", "a device that fails more than once a second never works");
}

}  // namespace

void read_arrivals(YamlMap& map, ClusterConfig& config) {
  ArrivalPlan& plan = config.arrivals;
  std::string trace;
  map.real("per_second", plan.per_second, 1e-6, 1e6);
  map.integer("requests", plan.requests, 1, kMostRequests);
  map.integer("seed", plan.seed, 0, UINT64_MAX);
  map.map("prompt", [&](YamlMap& prompt) { read_length(prompt, plan.prompt); });
  map.map("answer", [&](YamlMap& answer) { read_length(answer, plan.answer); });
  map.text("trace", trace);
  if (trace.empty()) return;
  for (const char* key : {"per_second", "prompt", "answer", "seed"}) {
    if (map.has(key)) map.fault(key, "a trace says when requests come and how long they are: leave this out");
  }
  if (Status read = read_trace(beside_config(config.path, trace), plan.trace); !read)
    map.fault("trace", read.error().message());
  if (!map.has("requests")) plan.requests = static_cast<std::uint32_t>(plan.trace.size());
}

void read_failures(YamlMap& map, ClusterConfig& config) {
  map.maps("planned", [&](YamlMap& planned) { read_planned(planned, config); });
  map.map("random", [&](YamlMap& random) { read_random(random, config.failures); });
}

}  // namespace shoal
