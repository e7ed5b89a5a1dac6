#include "base/quantity.h"

#include <charconv>
#include <cmath>
#include <span>

namespace shoal {
namespace {

struct Unit {
  std::string_view name;
  double value;
};

std::optional<double> parse(std::string_view text, std::span<const Unit> units) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || !std::isfinite(number) || number < 0) return std::nullopt;
  const std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units) {
    if (unit.name == name) return number * unit.value;
  }
  return std::nullopt;
}

}  // namespace

std::optional<double> parse_seconds(std::string_view text) {
  static constexpr Unit kUnits[] = {{"us", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"min", 60}, {"h", 3600}};
  return parse(text, kUnits);
}

std::optional<double> parse_bytes_per_second(std::string_view text) {
  static constexpr Unit kUnits[] = {{"kbit", 1e3 / 8}, {"mbit", 1e6 / 8}, {"gbit", 1e9 / 8}};
  return parse(text, kUnits);
}

std::optional<std::uint64_t> parse_memory_size(std::string_view text) {
  constexpr std::uint64_t kLeast = 1 << 20;
  std::uint64_t value = 0;
  const char* text_end = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), text_end, value);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit(end, static_cast<std::size_t>(text_end - end));
  int shift = unit.empty() ? 0 : -1;
  if (unit == "K" || unit == "KB" || unit == "KiB") shift = 10;
  if (unit == "M" || unit == "MB" || unit == "MiB") shift = 20;
  if (unit == "G" || unit == "GB" || unit == "GiB") shift = 30;
  if (shift < 0 || value > (UINT64_MAX >> shift) || value << shift < kLeast) return std::nullopt;
  return value << shift;
}

}  // namespace shoal
