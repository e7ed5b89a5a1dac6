#include "cli/cluster_tables.h"

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/progress_bar.h"
#include "cli/table.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

Result<Json> parse(const std::string& text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object())
    return fail(ErrorCode::Corrupt,
                "the coordinator's answer is no JSON object: is something else listening there?");
  return json;
}

// A member of an object; null where either is missing.
const Json& at(const Json& object, const char* key) {
  static const Json nothing;
  if (!object.is_object()) return nothing;
  const auto found = object.find(key);
  return found == object.end() ? nothing : *found;
}

std::string text_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_string() ? value.get<std::string>() : "-";
}

std::optional<double> number_at(const Json& object, const char* key) {
  const Json& value = at(object, key);
  return value.is_number() ? std::optional(value.get<double>()) : std::nullopt;
}

std::string formatted(const char* format, std::optional<double> value, double factor = 1) {
  if (!value) return "-";
  char text[48];
  std::snprintf(text, sizeof text, format, *value * factor);
  return text;
}

std::string milliseconds(std::optional<double> seconds) {
  return seconds && *seconds > 0 ? formatted("%.2f ms", seconds, 1e3) : "-";
}

std::string per_second(std::optional<double> seconds) {
  return seconds && *seconds > 0 ? formatted("%.1f", 1 / *seconds) : "-";
}

std::string bytes_at(const Json& object, const char* key) {
  const std::optional<double> bytes = number_at(object, key);
  return bytes ? human_bytes(*bytes) : "-";
}

std::string memory_text(const Json& memory) {
  return bytes_at(memory, "resident_bytes") + " / " + bytes_at(memory, "planned_bytes") + " / " +
         bytes_at(memory, "gives_bytes");
}

// What each device holds, by id, in the plan's words, and its predicted time for one token.
struct Holding {
  std::string units;
  double predicted_seconds = 0;
};
std::map<std::int64_t, Holding> holdings_of(const Json& plan) {
  std::map<std::int64_t, Holding> holdings;
  for (const Json& stage : at(plan, "stages")) {
    if (!at(stage, "device").is_number_integer()) continue;
    Holding& holding = holdings[at(stage, "device").get<std::int64_t>()];
    holding.units += (holding.units.empty() ? "" : "; ") + text_at(stage, "holds");
    holding.predicted_seconds += number_at(stage, "predicted_seconds").value_or(0);
  }
  return holdings;
}

std::string loading_text(const Json& device) {
  const Json& loading = at(device, "loading");
  const std::optional<double> total = number_at(loading, "bytes_total");
  if (text_at(loading, "state") != "loading" || !total || *total <= 0) return "";
  return formatted(" %.0f %%", number_at(loading, "bytes_present"), 100 / *total);
}

std::string device_table(const Json& cluster) {
  TextTable table({{"DEVICE"},
                   {"HOST"},
                   {"STATE"},
                   {"LAYERS"},
                   {"MEMORY (resident / planned / gives)"},
                   {"TOK/S (predicted", Align::Right},
                   {"measured)", Align::Right}});
  const std::map<std::int64_t, Holding> holdings = holdings_of(at(cluster, "plan"));
  for (const Json& device : at(cluster, "devices")) {
    const Json& id = at(device, "id");
    const auto holding = id.is_number_integer() ? holdings.find(id.get<std::int64_t>()) : holdings.end();
    const bool holds = holding != holdings.end();
    table.add_row({text_at(device, "name"), text_at(device, "host"),
                   text_at(device, "state") + loading_text(device), holds ? holding->second.units : "-",
                   memory_text(at(device, "memory")),
                   holds ? per_second(holding->second.predicted_seconds) : "-",
                   holds ? per_second(number_at(device, "decode_step_seconds")) : "-"});
  }
  return table.render();
}

std::string excluded_lines(const Json& cluster) {
  std::string lines;
  for (const Json& device : at(cluster, "devices")) {
    if (at(device, "excluded").is_string()) {
      lines += text_at(device, "name") + " is not used: " + text_at(device, "excluded") + "\n";
    }
  }
  return terminal_safe(lines);
}

std::string kv_text(const Json& plan) {
  return "KV for " + formatted("%.0f", number_at(plan, "kv_positions")) + " positions in " +
         terminal_safe(text_at(plan, "kv_type"));
}

std::string speed_line(const Json& cluster) {
  const Json& plan = at(cluster, "plan");
  return "one stream: " + per_second(number_at(plan, "predicted_seconds_per_token")) + " tok/s predicted, " +
         per_second(number_at(plan, "measured_seconds_per_token")) + " measured";
}

std::string requests_line(const Json& cluster) {
  const Json& requests = at(cluster, "requests");
  return "requests: " + formatted("%.0f", number_at(requests, "running")) + " running, " +
         formatted("%.0f", number_at(requests, "queued")) + " queued, " +
         formatted("%.0f", number_at(requests, "parked")) + " parked, " +
         formatted("%.0f", number_at(requests, "finished")) + " finished, " +
         formatted("%.0f", number_at(requests, "failed")) + " failed; " +
         formatted("%.0f", number_at(requests, "tokens")) + " tokens";
}

std::string state_line(const Json& cluster) {
  const Json& model = at(cluster, "model");
  std::string line = text_at(model, "id") + ": " + text_at(cluster, "state");
  if (const std::string detail = text_at(cluster, "detail"); detail != "-" && !detail.empty())
    line += " (" + detail + ")";
  if (at(cluster, "epoch").is_string()) line += ", epoch " + text_at(cluster, "epoch");
  return terminal_safe(line) + ", up " + formatted("%.0f s", number_at(cluster, "uptime_seconds"));
}

// The hop after each stage; the first entry of the list is the hub's to the first stage.
std::optional<double> hop_after(const Json& plan, std::size_t stage) {
  const Json& hops = at(plan, "predicted_hop_seconds");
  if (!hops.is_array() || stage + 1 >= hops.size() || !hops[stage + 1].is_number()) return std::nullopt;
  return hops[stage + 1].get<double>();
}

std::string stage_table(const Json& plan) {
  TextTable table({{"STAGE"},
                   {"DEVICE"},
                   {"HOLDS"},
                   {"PREDICTED", Align::Right},
                   {"MEASURED (device)", Align::Right},
                   {"THEN HOP", Align::Right}});
  const Json& hops = at(plan, "predicted_hop_seconds");
  if (hops.is_array() && !hops.empty() && hops[0].is_number()) {
    table.add_row({"-", "hub", "tokens in", "-", "-", milliseconds(hops[0].get<double>())});
  }
  std::size_t number = 0;
  for (const Json& stage : at(plan, "stages")) {
    table.add_row({std::to_string(number), text_at(stage, "name"), text_at(stage, "holds"),
                   milliseconds(number_at(stage, "predicted_seconds")),
                   milliseconds(number_at(stage, "measured_device_step_seconds")),
                   milliseconds(hop_after(plan, number))});
    ++number;
  }
  return table.render();
}

std::string quality_of(const Json& plan) {
  if (at(plan, "optimal") == true) return "proven best for what was measured";
  const std::optional<double> bound = number_at(plan, "lower_bound_seconds");
  const std::optional<double> cost = number_at(plan, "predicted_seconds_per_token");
  if (!bound || !cost || *cost <= 0) return "not proven best";
  return "at most " + formatted("%.0f %%", (*cost - *bound) / *cost, 100) + " from the best there can be";
}

std::string plan_text(const Json& plan) {
  std::string text = stage_table(plan);
  text += "one token: " + milliseconds(number_at(plan, "predicted_seconds_per_token")) + " predicted (" +
          per_second(number_at(plan, "predicted_seconds_per_token")) + " tok/s), " +
          milliseconds(number_at(plan, "measured_seconds_per_token")) + " measured (" +
          per_second(number_at(plan, "measured_seconds_per_token")) + " tok/s)\n";
  text += "epoch " + text_at(plan, "epoch") + ": " + terminal_safe(text_at(plan, "why")) + "; " +
          quality_of(plan) + "; " + kv_text(plan) + "\n";
  return text;
}

}  // namespace

Result<std::string> render_status(const std::string& cluster_json) {
  const Result<Json> cluster = parse(cluster_json);
  if (!cluster) return fail(cluster.error());
  return state_line(*cluster) + "\n\n" + device_table(*cluster) + "\n" + excluded_lines(*cluster) +
         speed_line(*cluster) + "; " + requests_line(*cluster) + "; " + kv_text(at(*cluster, "plan")) + "\n";
}

Result<std::string> render_plan(const std::string& cluster_json) {
  const Result<Json> cluster = parse(cluster_json);
  if (!cluster) return fail(cluster.error());
  std::string text;
  if (at(*cluster, "plan").is_object()) text += plan_text(at(*cluster, "plan"));
  if (at(*cluster, "next_plan").is_object())
    text += (text.empty() ? "" : "\n") + std::string("being loaded now:\n") +
            plan_text(at(*cluster, "next_plan"));
  if (text.empty())
    text = "no plan yet: " +
           terminal_safe(text_at(*cluster, "state") + " (" + text_at(*cluster, "detail") + ")") + "\n";
  return text;
}

Result<std::string> plan_json(const std::string& cluster_json) {
  const Result<Json> cluster = parse(cluster_json);
  if (!cluster) return fail(cluster.error());
  Json out;
  for (const char* key : {"epoch", "plan", "next_plan", "links"}) out[key] = at(*cluster, key);
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shoal
