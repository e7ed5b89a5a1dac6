#include "cli/bench_tables.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/progress_bar.h"
#include "cli/table.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

using Json = nlohmann::ordered_json;
using Align = TextTable::Align;

std::string number(double value, int digits) {
  char text[32];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

// Four digits or so, whatever the size.
std::string rate(double value) { return number(value, value < 10 ? 2 : value < 1000 ? 1 : 0); }

std::string percent(const std::vector<double>& shares) {
  return shares.empty() ? "" : number(100 * spread_of(shares).median, 1);
}

std::string macs_per_second(double macs) {
  return macs >= 1e12 ? number(macs / 1e12, 2) + " TMAC/s" : number(macs / 1e9, 1) + " GMAC/s";
}

void add_figure(TextTable& table, const BenchFigure& figure) {
  const Spread spread = spread_of(figure.samples);
  if (figure.is_load()) {
    table.add_row({title_of(figure), number(spread.median, 3) + " s", number(spread.low, 3),
                   number(spread.high, 3), "", percent(figure.read_shares), ""});
    return;
  }
  table.add_row({title_of(figure), rate(spread.median), rate(spread.low), rate(spread.high),
                 number(1000 / spread.median, 3), percent(figure.read_shares), percent(figure.peak_shares)});
}

std::string run_heading(const BenchRun& run) {
  std::string text = run.kernels + ", " + threads_text(run.threads);
  if (!run.read_bytes_per_second.empty())
    text += "   (this device reads " + human_bytes(spread_of(run.read_bytes_per_second).median) +
            "/s and multiplies int8 at " + macs_per_second(spread_of(run.int8_macs_per_second).median) + ")";
  return text + "\n";
}

std::string figures_table(const BenchRun& run) {
  TextTable table({{""},
                   {"tokens/s", Align::Right},
                   {"min", Align::Right},
                   {"max", Align::Right},
                   {"ms/token", Align::Right},
                   {"% of reads", Align::Right},
                   {"% of int8", Align::Right}});
  for (const BenchFigure& figure : run.figures) add_figure(table, figure);
  return table.render();
}

std::string operations_table(const OperationTimes& times) {
  double total = 0;
  for (const OperationTimes::Row& row : times.rows) total += row.seconds;
  TextTable table({{times.title},
                   {"us/token", Align::Right},
                   {"share %", Align::Right},
                   {"GB/s", Align::Right},
                   {"GMAC/s", Align::Right}});
  const double per_token = 1e6 / static_cast<double>(times.num_tokens);
  const auto per_second = [](double amount, double seconds) {
    return amount > 0 && seconds > 0 ? number(amount / seconds / 1e9, 1) : std::string();
  };
  for (const OperationTimes::Row& row : times.rows)
    table.add_row({"  " + std::string(row.name), number(row.seconds * per_token, 2),
                   number(100 * row.seconds / total, 1), per_second(row.work.bytes, row.seconds),
                   per_second(row.work.macs, row.seconds)});
  table.add_row({"  all", number(total * per_token, 2), "100.0", "", ""});
  return table.render();
}

Json figure_json(const BenchFigure& figure) {
  using Kind = BenchFigure::Kind;
  const Spread spread = spread_of(figure.samples);
  Json json = {{"title", title_of(figure)}};
  if (figure.is_load()) {
    json.update({{"kind", figure.kind == Kind::Load ? "load" : "restart"}, {"unit", "seconds"}});
  } else if (figure.kind == Kind::Prefill) {
    json.update({{"kind", "prefill"}, {"unit", "tokens/s"}, {"rows", figure.rows}});
  } else {
    json.update({{"kind", "decode"}, {"unit", "tokens/s"}, {"depth", figure.depth}, {"batch", figure.batch}});
  }
  json.update({{"median", spread.median},
               {"min", spread.low},
               {"max", spread.high},
               {"samples", figure.samples},
               {"read_shares", figure.read_shares},
               {"int8_shares", figure.peak_shares}});
  return json;
}

Json operations_json(const OperationTimes& times) {
  Json rows = Json::array();
  for (const OperationTimes::Row& row : times.rows)
    rows.push_back(
        {{"name", row.name}, {"seconds", row.seconds}, {"bytes", row.work.bytes}, {"macs", row.work.macs}});
  return {{"title", times.title}, {"tokens", times.num_tokens}, {"rows", rows}};
}

Json run_json(const BenchRun& run) {
  Json json = {{"kernels", run.kernels},
               {"threads", run.threads},
               {"read_bytes_per_second", run.read_bytes_per_second},
               {"int8_macs_per_second", run.int8_macs_per_second},
               {"figures", Json::array()},
               {"operations", Json::array()}};
  for (const BenchFigure& figure : run.figures) json["figures"].push_back(figure_json(figure));
  for (const OperationTimes& times : run.operations) json["operations"].push_back(operations_json(times));
  return json;
}

}  // namespace

std::string bench_text(const BenchReport& report) {
  const ModelCosts& costs = report.costs;
  std::string text =
      terminal_safe(report.model_name) + ": a token reads " +
      human_bytes(static_cast<double>(costs.weight_bytes)) + " of weights and takes " +
      number(static_cast<double>(costs.layer_macs + costs.head_macs) / 1e6, 1) +
      " million multiply-adds; in memory " +
      number(static_cast<double>(costs.stored_bytes) / static_cast<double>(costs.file_bytes), 3) +
      " of the file's size; keys and values in " + name_of(report.kv_type) + "\n";
  for (const BenchRun& run : report.runs) {
    text += "\n" + run_heading(run) + figures_table(run);
    for (const OperationTimes& times : run.operations) text += "\n" + operations_table(times);
  }
  return text;
}

std::string bench_json(const BenchReport& report) {
  Json json = {{"model", report.model_name},
               {"path", report.model_path},
               {"decode_steps", report.decode},
               {"kv_type", name_of(report.kv_type)},
               {"weight_bytes_per_token", report.costs.weight_bytes},
               {"macs_per_token", report.costs.layer_macs + report.costs.head_macs},
               {"file_bytes", report.costs.file_bytes},
               {"stored_bytes", report.costs.stored_bytes},
               {"runs", Json::array()}};
  for (const BenchRun& run : report.runs) json["runs"].push_back(run_json(run));
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace shoal
