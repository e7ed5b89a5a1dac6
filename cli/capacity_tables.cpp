#include "cli/capacity_tables.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/table.h"

namespace shoal {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

constexpr std::size_t kMostRows = 24;  // of devices, of links: the busiest

template <typename... Values>
std::string formatted(const char* format, Values... values) {
  char text[256];
  std::snprintf(text, sizeof text, format, values...);
  return text;
}

std::string seconds_text(double seconds) {
  if (seconds < 0) return "-";
  return seconds < 1 ? formatted("%.1f ms", seconds * 1e3) : formatted("%.2f s", seconds);
}
std::string share_text(double share) { return formatted("%.0f %%", share * 100); }
std::string megabytes(std::uint64_t bytes) { return formatted("%.1f MB", static_cast<double>(bytes) / 1e6); }

std::string render_requests(const CapacityReport& report) {
  std::string text = formatted("%llu requests in %.0f s: %llu answered, %llu failed, %llu still open\n",
                               static_cast<unsigned long long>(report.requests), report.seconds,
                               static_cast<unsigned long long>(report.finished),
                               static_cast<unsigned long long>(report.failed),
                               static_cast<unsigned long long>(report.unanswered));
  for (const std::string& reason : report.failure_reasons) text += "  failed: " + reason + "\n";
  text += formatted("%.1f tokens/s, %.2f requests/s of %.2f offered; %llu prompt and %llu answer tokens\n\n",
                    report.tokens_per_second, report.requests_per_second, report.offered_per_second,
                    static_cast<unsigned long long>(report.prompt_tokens),
                    static_cast<unsigned long long>(report.tokens));
  TextTable table(
      {{""}, {"p50", Align::Right}, {"p95", Align::Right}, {"p99", Align::Right}, {"mean", Align::Right}});
  const auto add = [&](const char* what, const Quantiles& q) {
    table.add_row(
        {what, seconds_text(q.p50), seconds_text(q.p95), seconds_text(q.p99), seconds_text(q.mean)});
  };
  add("time to first token", report.first_token);
  add("between tokens", report.between_tokens);
  add("whole answer", report.answer);
  return text + table.render();
}

std::string render_pipelines(const CapacityReport& report) {
  std::string text;
  for (const PipelineReport& pipeline : report.pipelines) {
    text += "\n" + (pipeline.name.empty() ? std::string("The plan") : "Pipeline " + pipeline.name);
    text += formatted(
        ": %s a token of one stream, %llu requests, %.1f running and %.1f waiting on average; served %s "
        "after "
        "power on\n",
        seconds_text(pipeline.predicted_seconds_per_token).c_str(),
        static_cast<unsigned long long>(pipeline.requests), pipeline.mean_running, pipeline.mean_waiting,
        seconds_text(pipeline.startup_seconds).c_str());
    for (const StageReport& stage : pipeline.stages)
      text += "  " + stage.device + ": " + stage.holds + " (" + seconds_text(stage.predicted_seconds) + ")\n";
  }
  return text;
}

std::string render_devices(const CapacityReport& report) {
  std::vector<DeviceUse> devices = report.devices;
  std::ranges::stable_sort(devices, std::greater<>(), &DeviceUse::busy);
  TextTable table({{"device"},
                   {"class"},
                   {"holds"},
                   {"busy", Align::Right},
                   {"memory", Align::Right},
                   {"W", Align::Right}});
  for (std::size_t i = 0; i < std::min(devices.size(), kMostRows); ++i) {
    const DeviceUse& device = devices[i];
    table.add_row({device.name, device.kind, device.holds, share_text(device.busy),
                   device.memory_bytes ? megabytes(device.memory_bytes) : "",
                   device.watts > 0 ? formatted("%.1f", device.watts) : ""});
  }
  std::string text = "\n" + table.render();
  if (devices.size() > kMostRows) text += formatted("and %zu more devices\n", devices.size() - kMostRows);
  return text;
}

// Those that carry no more than beats are not shown.
std::string render_links(const CapacityReport& report) {
  constexpr std::size_t kMostLinks = 8;
  constexpr double kWorthARow = 0.0005;
  TextTable table({{"link"}, {"busy", Align::Right}, {"carried", Align::Right}});
  std::size_t shown = 0;
  for (const LinkUseReport& link : report.links) {
    if (link.busy < kWorthARow || shown == kMostLinks) break;
    table.add_row(
        {link.from + " -> " + link.to, formatted("%.1f %%", link.busy * 100), megabytes(link.bytes)});
    ++shown;
  }
  return shown == 0 ? "" : "\n" + table.render();
}

std::string render_recoveries(const CapacityReport& report) {
  if (report.recoveries.empty()) return "";
  TextTable table({{"failure"},
                   {"at", Align::Right},
                   {"held"},
                   {"noticed", Align::Right},
                   {"serves", Align::Right},
                   {"token", Align::Right},
                   {"pause p50", Align::Right},
                   {"longest", Align::Right}});
  for (const RecoveryReport& r : report.recoveries) {
    table.add_row({r.device + " (" + name_of(r.kind) + ")", formatted("%.1f s", r.at),
                   r.had_part ? r.held : "nothing", seconds_text(r.detected_after),
                   seconds_text(r.serving_after), seconds_text(r.token_after),
                   r.requests_hit ? seconds_text(r.median_pause) : "",
                   r.requests_hit ? seconds_text(r.longest_pause) : ""});
  }
  return "\n" + table.render();
}

Json quantiles_json(const Quantiles& q) {
  return {{"count", q.count}, {"mean", q.mean}, {"p50", q.p50},
          {"p95", q.p95},     {"p99", q.p99},   {"max", q.most}};
}

Json pipelines_json(const CapacityReport& report) {
  Json pipelines = Json::array();
  for (const PipelineReport& p : report.pipelines) {
    Json stages = Json::array();
    for (const StageReport& s : p.stages) {
      stages.push_back({{"device", s.device},
                        {"units", {s.units.begin, s.units.end}},
                        {"holds", s.holds},
                        {"predicted_seconds", s.predicted_seconds}});
    }
    pipelines.push_back({{"name", p.name},
                         {"predicted_seconds_per_token", p.predicted_seconds_per_token},
                         {"predicted_bottleneck_seconds", p.predicted_bottleneck_seconds},
                         {"optimal", p.optimal},
                         {"startup_seconds", p.startup_seconds},
                         {"kv_positions", p.kv_positions},
                         {"requests", p.requests},
                         {"tokens", p.tokens},
                         {"mean_running", p.mean_running},
                         {"mean_waiting", p.mean_waiting},
                         {"stages", std::move(stages)}});
  }
  return pipelines;
}

Json uses_json(const CapacityReport& report, Json& links) {
  Json devices = Json::array();
  for (const DeviceUse& d : report.devices) {
    devices.push_back({{"name", d.name},
                       {"class", d.kind},
                       {"pipeline", d.pipeline},
                       {"holds", d.holds},
                       {"busy", d.busy},
                       {"memory_bytes", d.memory_bytes},
                       {"watts", d.watts}});
  }
  for (const LinkUseReport& l : report.links)
    links.push_back(
        {{"from", l.from}, {"to", l.to}, {"pipeline", l.pipeline}, {"bytes", l.bytes}, {"busy", l.busy}});
  return devices;
}

Json recoveries_json(const CapacityReport& report) {
  Json recoveries = Json::array();
  const auto time = [](double seconds) { return seconds < 0 ? Json() : Json(seconds); };
  for (const RecoveryReport& r : report.recoveries) {
    recoveries.push_back({{"device", r.device},
                          {"pipeline", r.pipeline},
                          {"kind", name_of(r.kind)},
                          {"at_seconds", r.at},
                          {"held", r.had_part ? Json(r.held) : Json()},
                          {"noticed_seconds", time(r.detected_after)},
                          {"serving_seconds", time(r.serving_after)},
                          {"first_token_seconds", time(r.token_after)},
                          {"requests_hit", r.requests_hit},
                          {"median_pause_seconds", r.median_pause},
                          {"longest_pause_seconds", r.longest_pause}});
  }
  return recoveries;
}

}  // namespace

std::string render_capacity(const CapacityReport& report) {
  std::string text = render_requests(report) + render_pipelines(report) + render_devices(report) +
                     render_links(report) + render_recoveries(report);
  if (report.watts > 0)
    text += formatted("\n%.0f W on average, %.2f J a token\n", report.watts, report.joules_per_token);
  std::string sentence = report.bottleneck;
  if (!sentence.empty())
    sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  return text + "\n" + sentence + "\n";
}

std::string capacity_json(const CapacityReport& report) {
  Json links = Json::array();
  Json devices = uses_json(report, links);
  const Json json = {{"seconds", report.seconds},
                     {"requests", report.requests},
                     {"finished", report.finished},
                     {"failed", report.failed},
                     {"unanswered", report.unanswered},
                     {"failure_reasons", report.failure_reasons},
                     {"prompt_tokens", report.prompt_tokens},
                     {"tokens", report.tokens},
                     {"tokens_per_second", report.tokens_per_second},
                     {"requests_per_second", report.requests_per_second},
                     {"offered_per_second", report.offered_per_second},
                     {"first_token_seconds", quantiles_json(report.first_token)},
                     {"between_tokens_seconds", quantiles_json(report.between_tokens)},
                     {"answer_seconds", quantiles_json(report.answer)},
                     {"pipelines", pipelines_json(report)},
                     {"devices", std::move(devices)},
                     {"links", std::move(links)},
                     {"recoveries", recoveries_json(report)},
                     {"watts", report.watts},
                     {"joules_per_token", report.joules_per_token},
                     {"bottleneck", report.bottleneck}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shoal
