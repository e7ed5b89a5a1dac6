#include "tests/cli/problem_oracle.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <vector>

namespace shoal {
namespace {

using Json = nlohmann::json;

double between(std::mt19937_64& random, double low, double high) {
  return low + (high - low) * static_cast<double>(random() >> 11) * 0x1p-53;
}
std::uint64_t whole(std::mt19937_64& random, std::uint64_t low, std::uint64_t high) {
  return low + random() % (high - low + 1);
}
bool chance(std::mt19937_64& random, int one_in) {
  return whole(random, 1, static_cast<std::uint64_t>(one_in)) == 1;
}

// The problem as plain numbers, and every plan of it.
class Oracle {
 public:
  Oracle(const Json& problem, const std::string& objective) : is_latency_(objective == "latency") {
    for (const Json& unit : problem["units"]) {
      bytes_.push_back(unit["memory_bytes"].get<double>());
      sends_.push_back(unit["activation_bytes"].get<double>());
    }
    for (const Json& device : problem["devices"]) {
      memory_.push_back(device["memory_bytes"].get<double>());
      seconds_.push_back(device["seconds"].get<std::vector<double>>());
      names_.push_back(device["name"].get<std::string>());
    }
    latency_ = problem["links"]["latency_s"].get<std::vector<std::vector<double>>>();
    rate_ = problem["links"]["bytes_per_s"].get<std::vector<std::vector<double>>>();
    if (!problem["source"].is_null()) source_ = index_of(problem["source"].get<std::string>());
    returns_ = problem["return_to_source"].get<bool>();
    input_bytes_ = problem["input_bytes"].get<double>();
    return_bytes_ = problem["return_bytes"].get<double>();
    pinned_.assign(bytes_.size(), -1);
    for (const auto& [unit, device] : problem["pins"].items()) {
      for (std::size_t u = 0; u < bytes_.size(); ++u) {
        if (problem["units"][u]["name"] == unit) pinned_[u] = index_of(device.get<std::string>());
      }
    }
  }

  struct Stage {
    int device;
    std::size_t begin, end;
  };

  std::optional<OracleValue> cost(const std::vector<Stage>& stages) const {
    OracleValue value;
    std::map<int, double> busy, held;
    std::size_t next = 0;
    for (const Stage& stage : stages) {
      if (stage.begin != next || stage.end <= next) return std::nullopt;
      next = stage.end;
      for (std::size_t u = stage.begin; u < stage.end; ++u) {
        if (pinned_[u] >= 0 && pinned_[u] != stage.device) return std::nullopt;
        const double seconds = seconds_[static_cast<std::size_t>(stage.device)][u];
        value.seconds += seconds;
        busy[stage.device] += seconds;
        held[stage.device] += bytes_[u];
      }
    }
    if (next != bytes_.size()) return std::nullopt;
    for (const auto& [device, bytes] : held) {
      if (bytes > memory_[static_cast<std::size_t>(device)]) return std::nullopt;
    }
    if (stages.size() != held.size()) {  // someone has two runs
      const bool is_ring = is_latency_ && stages.size() == held.size() + 1 &&
                           stages.front().device == source_ && stages.back().device == source_;
      if (!is_ring) return std::nullopt;
    }
    for (const auto& [device, seconds] : busy) value.bottleneck = std::max(value.bottleneck, seconds);
    bool open = true;
    const auto hop = [&](int from, int to, double bytes) {
      if (from == to || from < 0 || to < 0) return;
      const double rate = rate_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
      open = open && rate > 0;
      if (rate <= 0) return;
      value.seconds += latency_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)] + bytes / rate;
      value.bottleneck = std::max(value.bottleneck, bytes / rate);
    };
    hop(source_, stages.front().device, input_bytes_);
    for (std::size_t i = 1; i < stages.size(); ++i)
      hop(stages[i - 1].device, stages[i].device, sends_[stages[i].begin - 1]);
    if (returns_) hop(stages.back().device, source_, return_bytes_);
    if (!open) return std::nullopt;
    return value;
  }

  std::optional<double> best() {
    extend();
    return best_;
  }

  int index_of(const std::string& name) const {
    return static_cast<int>(std::find(names_.begin(), names_.end(), name) - names_.begin());
  }

 private:
  void extend() {
    const std::size_t begin = stages_.empty() ? 0 : stages_.back().end;
    if (begin == bytes_.size()) {
      const std::optional<OracleValue> value = cost(stages_);
      if (!value) return;
      const double objective = is_latency_ ? value->seconds : value->bottleneck;
      if (!best_ || objective < *best_) best_ = objective;
      return;
    }
    for (int v = 0; v < static_cast<int>(names_.size()); ++v) {
      const bool used =
          std::any_of(stages_.begin(), stages_.end(), [&](const Stage& s) { return s.device == v; });
      const bool again = used && v == source_ && stages_.front().device == v && stages_.back().device != v;
      if (used && !again) continue;
      for (std::size_t end = again ? bytes_.size() : begin + 1; end <= bytes_.size(); ++end) {
        stages_.push_back({v, begin, end});
        extend();
        stages_.pop_back();
      }
    }
  }

  bool is_latency_;
  std::vector<double> bytes_, sends_, memory_;
  std::vector<std::vector<double>> seconds_, latency_, rate_;
  std::vector<std::string> names_;
  std::vector<int> pinned_;
  int source_ = -1;
  bool returns_ = false;
  double input_bytes_ = 0, return_bytes_ = 0;
  std::vector<Stage> stages_;
  std::optional<double> best_;
};

Json random_units(std::mt19937_64& random, const OracleShape& shape) {
  Json units = Json::array();
  for (int u = 0; u < shape.num_units; ++u) {
    const bool inner = u > 0 && u + 1 < shape.num_units;
    if (shape.uniform && inner && u > 1) {
      units.push_back(units[1]);
    } else {
      units.push_back({{"memory_bytes", whole(random, 1'000'000, 9'000'000)},
                       {"activation_bytes", whole(random, 0, 60'000)}});
    }
    if (shape.uniform && u == 1) units[0]["activation_bytes"] = units[1]["activation_bytes"];
    units.back()["name"] = "unit-" + std::to_string(u);
  }
  return units;
}

Json random_device(std::mt19937_64& random, const Json& units, int number, bool uniform) {
  double all = 0;
  for (const Json& unit : units) all += unit["memory_bytes"].get<double>();
  const double speed = between(random, 0.3, 4);
  Json seconds = Json::array();
  for (std::size_t u = 0; u < units.size(); ++u) {
    const bool like_the_first = uniform && u > 1 && u + 1 < units.size();
    seconds.push_back(like_the_first ? seconds[1].get<double>()
                                     : units[u]["memory_bytes"].get<double>() * 1e-10 *
                                           between(random, 0.6, 1.6) / speed);
  }
  return {{"name", "d" + std::to_string(number)},
          {"memory_bytes", static_cast<std::uint64_t>(all * between(random, 0.1, 1.2))},
          {"seconds", seconds}};
}

}  // namespace

nlohmann::json random_file_problem(std::uint64_t seed, const OracleShape& shape) {
  std::mt19937_64 random(seed);
  Json problem;
  problem["units"] = random_units(random, shape);
  problem["devices"] = Json::array();
  Json latency = Json::array(), rate = Json::array();
  for (int v = 0; v < shape.num_devices; ++v) {
    problem["devices"].push_back(random_device(random, problem["units"], v, shape.uniform));
    latency.push_back(Json::array()), rate.push_back(Json::array());
    for (int w = 0; w < shape.num_devices; ++w) {
      latency.back().push_back(v == w ? 0.0 : 1e-4 * std::pow(50.0, between(random, 0, 1)));
      rate.back().push_back(v == w || chance(random, 12) ? 0.0
                                                         : 1.25e8 * std::pow(0.01, between(random, 0, 1)));
    }
  }
  problem["links"] = {{"latency_s", latency}, {"bytes_per_s", rate}};
  const auto any_device = [&] {
    return "d" + std::to_string(whole(random, 0, static_cast<std::uint64_t>(shape.num_devices) - 1));
  };
  problem["source"] = chance(random, 3) ? Json() : Json(any_device());
  problem["input_bytes"] = whole(random, 0, 50'000);
  problem["return_to_source"] = chance(random, 2);
  problem["return_bytes"] = whole(random, 0, 50'000);
  problem["pins"] = Json::object();
  const int num_pins = chance(random, 3) ? 1 + chance(random, 3) : 0;
  for (int i = 0; i < num_pins; ++i) {
    const auto unit = whole(random, 0, static_cast<std::uint64_t>(shape.num_units) - 1);
    problem["pins"]["unit-" + std::to_string(unit)] = any_device();
  }
  return problem;
}

std::optional<OracleValue> judge(const nlohmann::json& problem, const std::string& objective,
                                 const nlohmann::json& stages) {
  const Oracle oracle(problem, objective);
  std::vector<Oracle::Stage> plan;
  for (const Json& stage : stages) {
    plan.push_back({oracle.index_of(stage["device"].get<std::string>()), stage["begin"].get<std::size_t>(),
                    stage["end"].get<std::size_t>()});
  }
  return oracle.cost(plan);
}

std::optional<double> best_value(const nlohmann::json& problem, const std::string& objective) {
  return Oracle(problem, objective).best();
}

}  // namespace shoal
