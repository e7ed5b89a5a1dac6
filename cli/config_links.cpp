#include <algorithm>

#include "cli/config_parts.h"

namespace shoal {
namespace {

constexpr const char* kCoordinator = "coordinator";

// * stands for any characters, none included.
bool matches(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') {
    for (std::size_t skipped = 0; skipped <= text.size(); ++skipped) {
      if (matches(pattern.substr(1), text.substr(skipped))) return true;
    }
    return false;
  }
  return !text.empty() && pattern[0] == text[0] && matches(pattern.substr(1), text.substr(1));
}

// nullptr: a coordinator on a machine of its own.
bool selects(const std::string& selector, const DeviceConfig* device) {
  if (!device) return selector == "*" || selector == kCoordinator;
  return matches(selector, device->name) || (!device->group.empty() && selector == device->group);
}

bool names_somebody(const ClusterConfig& config, const std::string& selector) {
  if (selects(selector, nullptr)) return true;
  return std::ranges::any_of(config.devices, [&](const DeviceConfig& d) { return selects(selector, &d); });
}

// A pattern of many stars would be looked at for ever.
bool is_simple(const std::string& selector) {
  return selector.size() <= 64 && std::ranges::count(selector, '*') <= 2;
}

void check_selector(YamlMap& map, const char* key, const std::string& selector, const ClusterConfig& config) {
  if (!is_simple(selector)) return map.fault(key, "a pattern has at most 64 characters, two of them *");
  if (names_somebody(config, selector)) return;
  std::vector<std::string> known{kCoordinator};
  for (const std::string& group : groups_of(config)) {
    if (!group.empty()) known.push_back(group);
  }
  for (const DeviceConfig& device : config.devices) known.push_back(device.name);
  constexpr std::size_t kMostListed = 40;
  if (known.size() > kMostListed) known.resize(kMostListed);
  map.fault_unknown(key, selector, known);
}

// Only what is named is changed.
template <typename Figures>  // LinkQuality or LinkRule
void read_figures(YamlMap& map, Figures& figures) {
  double latency = 0, rate = 0, jitter = 0, loss = 0;
  map.time("latency", latency);
  map.rate("rate", rate);
  map.time("jitter", jitter);
  map.real("loss", loss, 0, 0.5);
  if (map.has("latency")) figures.latency_seconds = latency;
  if (map.has("rate")) figures.bytes_per_second = rate;
  if (map.has("jitter")) figures.jitter_seconds = jitter;
  if (map.has("loss")) figures.loss = loss;
}

void read_rule(YamlMap& map, ClusterConfig& config) {
  LinkRule rule;
  std::vector<std::string> between;
  map.texts("between", between);
  map.text("from", rule.from);
  map.text("to", rule.to);
  read_figures(map, rule);
  const bool one_way = map.has("from") && map.has("to");
  if (map.has("between") == one_way || (map.has("between") && between.size() != 2))
    return map.fault("between", "a rule is for links \"between\" [A, B], or \"from\" A \"to\" B alone");
  rule.both_ways = !one_way;
  if (rule.both_ways) {
    rule.from = between[0];
    rule.to = between[1];
  }
  check_selector(map, one_way ? "from" : "between", rule.from, config);
  check_selector(map, one_way ? "to" : "between", rule.to, config);
  config.links.rules.push_back(std::move(rule));
}

bool selects_in(const ClusterConfig& config, const std::string& selector, const DeviceConfig* device) {
  if (selects(selector, device)) return true;
  return device && selector == kCoordinator && coordinator_host(config, device->group) == device;
}

bool concerns(const ClusterConfig& config, const LinkRule& rule, const DeviceConfig* from,
              const DeviceConfig* to) {
  const auto joins = [&](const DeviceConfig* a, const DeviceConfig* b) {
    return selects_in(config, rule.from, a) && selects_in(config, rule.to, b);
  };
  return joins(from, to) || (rule.both_ways && joins(to, from));
}

}  // namespace

void read_links(YamlMap& map, ClusterConfig& config) {
  map.map("default", [&](YamlMap& usual) { read_figures(usual, config.links.usual); });
  map.maps("rules", [&](YamlMap& rule) { read_rule(rule, config); });
}

LinkQuality link_between(const ClusterConfig& config, const DeviceConfig* from, const DeviceConfig* to) {
  LinkQuality quality = config.links.usual;
  for (const LinkRule& rule : config.links.rules) {
    if (!concerns(config, rule, from, to)) continue;
    quality.latency_seconds = rule.latency_seconds.value_or(quality.latency_seconds);
    quality.bytes_per_second = rule.bytes_per_second.value_or(quality.bytes_per_second);
    quality.jitter_seconds = rule.jitter_seconds.value_or(quality.jitter_seconds);
    quality.loss = rule.loss.value_or(quality.loss);
  }
  return quality;
}

}  // namespace shoal
