#include "coordinator/device_speed.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr double kBatchRows = 32;

double unit_seconds(const UnitSpeed& unit, double rows, double context) {
  const double batch = std::max(unit.batch32, unit.batch1);
  if (rows <= kBatchRows || unit.chunk <= 0) {
    return unit.batch1 + (batch - unit.batch1) / (kBatchRows - 1) * (rows - 1) +
           rows * unit.per_1k_context * attended_positions(unit.window, context) / 1000;
  }
  const double per_row = std::max(0.0, unit.chunk - batch) / (kProfileChunkRows - kBatchRows);
  const double before = attended_positions(unit.window, context) - attended_positions(unit.window, rows / 2);
  return batch + per_row * (rows - kBatchRows) +
         rows * unit.chunk_per_1k_context * std::max(0.0, before) / 1000;
}

}  // namespace

Visit visit_of(std::span<const RowGroup> groups) {
  Visit visit{.rows = 0, .wanted_rows = 0};
  double positions = 0;
  for (const RowGroup& group : groups) {
    visit.rows += group.num_rows;
    visit.wanted_rows += group.num_wanted();
    const double rows = group.num_rows;
    positions += rows * (group.first_position + (rows - 1) / 2);
  }
  if (visit.rows > 0) visit.context = positions / visit.rows;
  return visit;
}

Visit mean_visit(const StageWork& work) {
  const double steps = work.steps;
  return {.rows = work.rows / steps,
          .wanted_rows = work.wanted_rows / steps,
          .context = static_cast<double>(work.context) / std::max(work.rows, 1u)};
}

double attended_positions(std::uint32_t window, double position) {
  return window == 0 ? position : std::min<double>(window, position);
}

double compute_seconds(const DeviceSpeed& speed, Range units, const Visit& visit) {
  const auto head = static_cast<std::uint32_t>(speed.units.size() - 1);
  double total = 0;
  for (std::uint32_t unit = units.begin; unit < units.end; ++unit) {
    const double rows = unit == head ? visit.wanted_rows : visit.rows;
    if (rows > 0) total += unit_seconds(speed.units[unit], rows, visit.context);
  }
  return total;
}

std::optional<double> SpeedCorrection::factor(std::uint32_t row_class) const {
  for (std::uint32_t c = row_class + 1; c-- > 0;) {
    if (factors_[c].is_settled()) return factors_[c].value();
  }
  for (std::uint32_t c = row_class + 1; c < kNumRowClasses; ++c) {
    if (factors_[c].is_settled()) return factors_[c].value();
  }
  return std::nullopt;
}

DeviceSpeed speed_from(const ProfileReport& report, const std::vector<std::uint32_t>& representatives,
                       const ModelConfig& config, const SpeedFactors& factors) {
  DeviceSpeed speed{.units = std::vector<UnitSpeed>(representatives.size()),
                    .hand_over = report.hand_over_seconds};
  for (std::uint32_t unit = 0; unit < representatives.size(); ++unit) {
    const auto measured = std::ranges::find(report.units, representatives[unit], &LayerProfile::unit);
    if (measured == report.units.end()) continue;
    const bool is_layer = unit > 0 && unit <= config.num_layers;
    speed.units[unit] = {.batch1 = measured->seconds_batch1 * factors.one_row,
                         .batch32 = measured->seconds_batch32 * factors.batch,
                         .per_1k_context = measured->seconds_per_1k_context * factors.one_row,
                         .chunk = measured->seconds_chunk * factors.chunk,
                         .chunk_per_1k_context = measured->chunk_seconds_per_1k_context * factors.chunk,
                         .window = is_layer ? config.layers[unit - 1].window : 0};
  }
  return speed;
}

}  // namespace shoal
