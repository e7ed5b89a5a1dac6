#include "simulation/expected_profile.h"

#include <algorithm>

#include "coordinator/plan_builder.h"

namespace shoal {
namespace {

constexpr double kFloatShare = 0.25;  // of the int8 rate: four bytes an operand instead of one
constexpr double kBatchRows = 32;
constexpr double kLeastSeconds = 1e-7;  // a measurement is never zero

// Multiply-adds of one row; the embedding has none.
double macs_of(const ServedModel& model, std::uint32_t unit) {
  double macs = 0;
  for (const TensorSpec& spec : model.specs) {
    if (spec.unit == unit && spec.is_matrix && spec.role != TensorRole::Embedding)
      macs += static_cast<double>(spec.rows) * static_cast<double>(spec.cols);
  }
  return macs;
}

double bytes_read_by(const ServedModel& model, std::uint32_t unit) {
  const auto bytes = static_cast<double>(shard_bytes(model.specs, {unit, unit + 1}));
  return unit == 0 ? bytes / model.config.vocab_size : bytes;
}

}  // namespace

ProfileReport expected_profile(const DeviceFigures& figures, const ServedModel& model) {
  ProfileReport report{
      .model = model.hash, .units = {}, .read_bytes_per_second = figures.read_bytes_per_second};
  const ModelConfig& config = model.config;
  for (const std::uint32_t unit : representative_units(model)) {
    const double reading = bytes_read_by(model, unit) / figures.read_bytes_per_second;
    const double computing = macs_of(model, unit) / figures.int8_macs_per_second;
    LayerProfile profile{.unit = unit};
    profile.seconds_batch1 = std::max({reading, computing, kLeastSeconds});
    profile.seconds_batch32 = std::max({reading, kBatchRows * computing, profile.seconds_batch1});
    if (unit != 0 && unit != config.head_unit()) {
      const double kv =
          static_cast<double>(config.kv_bytes_per_position_per_layer()) / figures.read_bytes_per_second;
      const double attention =
          2.0 * config.num_heads * config.head_dim / (kFloatShare * figures.int8_macs_per_second);
      profile.seconds_per_1k_context = 1000 * std::max(kv, attention);
    }
    report.units.push_back(profile);
  }
  return report;
}

}  // namespace shoal
