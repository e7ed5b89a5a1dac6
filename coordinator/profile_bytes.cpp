#include "coordinator/profile_bytes.h"

namespace shoal {
namespace {

// A LayerProfile as 48 bytes: its unit, then five doubles.
constexpr std::size_t kUnitBytes = 48;

}  // namespace

std::vector<std::byte> encode_units(const std::vector<LayerProfile>& units) {
  std::vector<std::byte> bytes(units.size() * kUnitBytes);
  for (std::size_t i = 0; i < units.size(); ++i) {
    std::byte* out = bytes.data() + i * kUnitBytes;
    store<std::uint64_t>(out, units[i].unit);
    store(out + 8, units[i].seconds_batch1);
    store(out + 16, units[i].seconds_batch32);
    store(out + 24, units[i].seconds_per_1k_context);
    store(out + 32, units[i].seconds_chunk);
    store(out + 40, units[i].chunk_seconds_per_1k_context);
  }
  return bytes;
}

std::vector<LayerProfile> decode_units(Bytes bytes) {
  std::vector<LayerProfile> units;
  for (std::size_t at = 0; at + kUnitBytes <= bytes.size(); at += kUnitBytes) {
    units.push_back({.unit = static_cast<std::uint32_t>(load<std::uint64_t>(&bytes[at])),
                     .seconds_batch1 = load<double>(&bytes[at + 8]),
                     .seconds_batch32 = load<double>(&bytes[at + 16]),
                     .seconds_per_1k_context = load<double>(&bytes[at + 24]),
                     .seconds_chunk = load<double>(&bytes[at + 32]),
                     .chunk_seconds_per_1k_context = load<double>(&bytes[at + 40])});
  }
  return units;
}

}  // namespace shoal
