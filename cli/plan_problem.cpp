#include "cli/plan_problem.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "cli/nearest_name.h"
#include "cli/problem_text.h"
#include "partition/problem_check.h"

namespace shoal {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxNameBytes = 200;
constexpr double kMaxSeconds = 1e9;

std::string at(const std::string& list, std::size_t i) { return list + "[" + std::to_string(i) + "]"; }
std::string in(const std::string& object, const std::string& key) {
  return object.empty() ? key : object + "." + key;
}

// Fills a problem from the document and keeps the first fault. Paths are put together only for faults: a link
// matrix has a million entries.
class ProblemReader {
 public:
  explicit ProblemReader(Objective objective) {
    problem_.objective = objective;
    problem_.rows_per_step = 1;
    problem_.context = 0;
    problem_.input_bytes = problem_.result_bytes = 0;
  }

  Result<PlanProblem> read(const Json& root) {
    if (!root.is_object()) return fail(ErrorCode::InvalidArgument, "the problem is no JSON object");
    check_keys(root, "", {"units", "devices", "links"},
               {"source", "input_bytes", "return_to_source", "return_bytes", "pins"});
    if (!fault_) read_units(root["units"]);
    if (!fault_) read_devices(root["devices"]);
    if (!fault_) read_links(root["links"]);
    if (!fault_) read_source(root);
    if (!fault_ && root.contains("pins")) read_pins(root["pins"]);
    if (fault_) return fail(*fault_);
    return std::move(problem_);
  }

 private:
  void fault(const std::string& path, const std::string& what) {
    if (!fault_) fault_ = Error(ErrorCode::InvalidArgument, path + ": " + what);
  }

  void check_keys(const Json& object, const std::string& path, const std::vector<std::string>& required,
                  const std::vector<std::string>& others = {}) {
    std::vector<std::string> known = required;
    known.insert(known.end(), others.begin(), others.end());
    for (const auto& [key, value] : object.items()) {
      if (std::find(known.begin(), known.end(), key) == known.end())
        fault(in(path, key), "unknown key" + nearest_hint(key, known));
    }
    for (const std::string& key : required) {
      if (!object.contains(key)) fault(in(path, key), "is missing");
    }
  }

  bool is_list(const Json& value, const std::string& path, std::size_t least, std::size_t most) {
    if (!value.is_array()) {
      fault(path, "is a list, not " + std::string(value.type_name()));
    } else if (value.size() < least || value.size() > most) {
      const std::string wanted =
          least == most ? std::to_string(least) : std::to_string(least) + " to " + std::to_string(most);
      fault(path, "has " + std::to_string(value.size()) + " entries instead of " + wanted);
    }
    return !fault_;
  }

  // Every entry an object with these keys and a name.
  bool is_named(const Json& value, const std::string& path, const std::vector<std::string>& keys) {
    if (!value.is_object()) {
      fault(path, "is an object, not " + std::string(value.type_name()));
      return false;
    }
    check_keys(value, path, keys);
    if (fault_) return false;
    const Json& name = value["name"];
    if (!name.is_string() || name.get_ref<const std::string&>().size() > kMaxNameBytes)
      fault(in(path, "name"), "is a text of at most " + std::to_string(kMaxNameBytes) + " bytes");
    return !fault_;
  }

  template <typename Path>
  std::uint64_t bytes(const Json& value, Path path, std::uint64_t most) {
    if (value.is_number_unsigned() && value.get<std::uint64_t>() <= most) return value.get<std::uint64_t>();
    const double number = value.is_number() ? value.get<double>() : kNotANumber;
    if (number >= 0 && number <= static_cast<double>(most) && number == std::floor(number))
      return static_cast<std::uint64_t>(number);
    fault(path(), describe(value) + ": expected a whole number of bytes from 0 to " + std::to_string(most));
    return 0;
  }

  // kInfinite or more: infinite.
  template <typename Path>
  double number(const Json& value, Path path, const char* unit, double least, double most) {
    const double number = value.is_number() ? value.get<double>() : kNotANumber;
    if (number >= kInfinite || (number >= least && number <= most)) return number;
    char range[96];
    std::snprintf(range, sizeof range, ": expected %s from %g to %g", unit, least, most);
    fault(path(), describe(value) + range);
    return least;
  }

  static std::string describe(const Json& value) {
    if (!value.is_number()) return "is " + std::string(value.type_name());
    if (value.get<double>() == kNotANumber) return "is NaN";
    if (std::abs(value.get<double>()) >= kInfinite)
      return value.get<double>() > 0 ? "is infinite" : "is minus infinite";
    return "is " + value.dump();
  }

  void read_units(const Json& units) {
    if (!is_list(units, "units", 1, kMaxUnits)) return;
    for (std::size_t u = 0; u < units.size() && !fault_; ++u) {
      const std::string path = at("units", u);
      if (!is_named(units[u], path, {"name", "memory_bytes", "activation_bytes"})) return;
      const auto path_of = [&](const char* key) { return [&path, key] { return in(path, key); }; };
      UnitShape unit;
      unit.name = units[u]["name"].get<std::string>();
      unit.weight_bytes = bytes(units[u]["memory_bytes"], path_of("memory_bytes"), kMaxUnitBytes);
      unit.output_bytes = bytes(units[u]["activation_bytes"], path_of("activation_bytes"), kMaxUnitBytes);
      problem_.units.push_back(std::move(unit));
    }
  }

  void read_devices(const Json& devices) {
    if (!is_list(devices, "devices", 1, kMaxDevices)) return;
    for (std::size_t v = 0; v < devices.size() && !fault_; ++v) {
      const std::string path = at("devices", v);
      if (!is_named(devices[v], path, {"name", "memory_bytes", "seconds"})) return;
      DeviceProfile device;
      device.name = devices[v]["name"].get<std::string>();
      if (!device_numbers_.emplace(device.name, static_cast<std::uint32_t>(v)).second)
        fault(in(path, "name"), "\"" + device.name + "\" is the name of two devices");
      device.memory_bytes = device_memory_bytes(devices[v]["memory_bytes"], path);
      read_seconds(devices[v]["seconds"], in(path, "seconds"), device);
      problem_.devices.push_back(std::move(device));
    }
  }

  // More than any problem can ask for counts as so much.
  std::uint64_t device_memory_bytes(const Json& value, const std::string& path) {
    constexpr std::uint64_t kPlenty = std::uint64_t{1} << 61;
    if (value.is_number() && value.get<double>() >= static_cast<double>(kPlenty)) return kPlenty;
    return bytes(
        value, [&] { return in(path, "memory_bytes"); }, kPlenty);
  }

  void read_seconds(const Json& seconds, const std::string& path, DeviceProfile& device) {
    const std::size_t num_units = problem_.units.size();
    if (!is_list(seconds, path, num_units, num_units)) return;
    for (std::size_t u = 0; u < num_units; ++u) {
      const double cost = number(
          seconds[u], [&] { return at(path, u); }, "seconds", 0, kMaxSeconds);
      if (cost < kInfinite) {
        device.units.push_back({cost, cost, 0});
        continue;
      }
      device.units.push_back({});
      device.bans.resize(num_units, false);
      device.bans[u] = true;
    }
  }

  void read_links(const Json& links) {
    if (!links.is_object()) return fault("links", "is an object, not " + std::string(links.type_name()));
    check_keys(links, "links", {"latency_s", "bytes_per_s"});
    if (fault_ || !is_matrix(links["latency_s"], "links.latency_s") ||
        !is_matrix(links["bytes_per_s"], "links.bytes_per_s"))
      return;
    const std::size_t num_devices = problem_.devices.size();
    problem_.links.resize(num_devices);
    for (std::size_t v = 0; v < num_devices; ++v) {
      for (std::size_t w = 0; w < num_devices && !fault_; ++w) {
        problem_.links[v].push_back(
            v == w ? LinkProfile{} : link(links["latency_s"][v][w], links["bytes_per_s"][v][w], v, w));
      }
    }
  }

  bool is_matrix(const Json& matrix, const std::string& path) {
    const std::size_t num_devices = problem_.devices.size();
    if (!is_list(matrix, path, num_devices, num_devices)) return false;
    for (std::size_t v = 0; v < num_devices; ++v) {
      if (!is_list(matrix[v], at(path, v), num_devices, num_devices)) return false;
    }
    return true;
  }

  LinkProfile link(const Json& latency, const Json& rate, std::size_t v, std::size_t w) {
    const auto path_of = [&](const char* key) { return [=] { return at(at(in("links", key), v), w); }; };
    LinkProfile link;
    link.latency = number(latency, path_of("latency_s"), "seconds", 0, kMaxSeconds);
    const bool no_rate = rate.is_number() && rate.get<double>() == 0;
    link.bytes_per_second = no_rate ? 0
                                    : number(rate, path_of("bytes_per_s"),
                                             "bytes per second, 0 for no link, or", kLeastRate, kInfinite);
    link.closed = no_rate || link.latency >= kInfinite;
    if (link.closed) return {.closed = true};
    link.bytes_per_second = std::min(link.bytes_per_second, kInfinite);
    return link;
  }

  void read_source(const Json& root) {
    const std::size_t num_devices = problem_.devices.size();
    const LinkProfile free{.latency = 0, .bytes_per_second = kInfinite};
    problem_.from_hub.assign(num_devices, free);
    problem_.to_hub.assign(num_devices, free);
    const auto path_of = [](const char* key) { return [key] { return std::string(key); }; };
    if (root.contains("input_bytes"))
      problem_.input_bytes = bytes(root["input_bytes"], path_of("input_bytes"), kMaxUnitBytes);
    if (root.contains("return_bytes"))
      problem_.result_bytes = bytes(root["return_bytes"], path_of("return_bytes"), kMaxUnitBytes);
    bool returns = false;
    if (root.contains("return_to_source")) {
      if (!root["return_to_source"].is_boolean()) return fault("return_to_source", "is true or false");
      returns = root["return_to_source"].get<bool>();
    }
    problem_.ring = Ring::NoDevice;
    if (fault_ || !root.contains("source") || root["source"].is_null()) return;
    const std::optional<std::uint32_t> source = device_named(root["source"], "source");
    if (!source) return;
    for (std::size_t v = 0; v < num_devices; ++v) {
      if (v == *source) continue;
      problem_.from_hub[v] = problem_.links[*source][v];
      if (returns) problem_.to_hub[v] = problem_.links[v][*source];
    }
    if (problem_.objective == Objective::Throughput) return;
    problem_.ring = Ring::OneDevice;
    problem_.ring_device = *source;
  }

  std::optional<std::uint32_t> device_named(const Json& value, const std::string& path) {
    if (!value.is_string()) {
      fault(path, "is a device's name, not " + std::string(value.type_name()));
      return std::nullopt;
    }
    const std::string name = value.get<std::string>();
    const auto found = device_numbers_.find(name);
    if (found != device_numbers_.end()) return found->second;
    std::vector<std::string> names;
    for (const DeviceProfile& device : problem_.devices) names.push_back(device.name);
    fault(path, "no device is called \"" + name + "\"" + nearest_hint(name, names));
    return std::nullopt;
  }

  void read_pins(const Json& pins) {
    if (!pins.is_object()) return fault("pins", "is an object, not " + std::string(pins.type_name()));
    for (const auto& [name, device] : pins.items()) {
      const std::string path = in("pins", name);
      const std::optional<std::uint32_t> unit = unit_named(name, path);
      const std::optional<std::uint32_t> holder = device_named(device, path);
      if (fault_) return;
      for (const Pin& pin : problem_.pins) {
        if (pin.unit == *unit) return fault(path, "this unit is pinned twice");
      }
      problem_.pins.push_back({*unit, *holder});
    }
  }

  // By its name, or by its number where no unit has that name.
  std::optional<std::uint32_t> unit_named(const std::string& name, const std::string& path) {
    std::optional<std::uint32_t> found;
    std::vector<std::string> names;
    for (std::uint32_t u = 0; u < problem_.units.size(); ++u) {
      names.push_back(problem_.units[u].name);
      if (names.back() != name) continue;
      if (found) fault(path, "several units have this name; pin by number: the first unit is \"0\"");
      found = u;
    }
    std::uint32_t number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_number = error == std::errc() && end == name.data() + name.size();
    if (!found && is_number && number < problem_.units.size()) found = number;
    if (!found) fault(path, "no unit has this name" + nearest_hint(name, names));
    return found;
  }

  PlanProblem problem_;
  std::map<std::string, std::uint32_t> device_numbers_;
  std::optional<Error> fault_;
};

// The first key that stands twice in one object, of which the parser would keep the last.
class RepeatedKeys {
 public:
  bool operator()(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) open_.emplace_back();
    if (event == Json::parse_event_t::object_end) open_.pop_back();
    if (event == Json::parse_event_t::key && !open_.back().insert(parsed.get<std::string>()).second &&
        first_.empty())
      first_ = parsed.get<std::string>();
    return true;
  }
  const std::string& first() const { return first_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string first_;
};

}  // namespace

Result<PlanProblem> read_plan_problem(const std::string& text, Objective objective) {
  RepeatedKeys repeated;
  try {
    const Json root = Json::parse(spell_out_numbers(text), [&](int, Json::parse_event_t event, Json& parsed) {
      return repeated(event, parsed);
    });
    if (!repeated.first().empty())
      return fail(ErrorCode::InvalidArgument,
                  "the key \"" + repeated.first() + "\" stands twice in one object");
    return ProblemReader(objective).read(root);
  } catch (const Json::exception& problem) {
    return fail(ErrorCode::InvalidArgument, std::string("no JSON: ") + problem.what());
  }
}

}  // namespace shoal
