#include "worker/device_heat.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shoal {
namespace {

// vcgencmd get_throttled: what holds now. https://www.raspberrypi.com/documentation/computers/os.html
constexpr std::uint64_t kUnderVoltage = 1 << 0;
constexpr std::uint64_t kClockCapped = 1 << 1;
constexpr std::uint64_t kThrottled = 1 << 2;
constexpr std::uint64_t kSoftLimit = 1 << 3;
constexpr const char* kPiFlags = "/devices/platform/soc/soc:firmware/get_throttled";

constexpr double kHottest = 200;  // degrees: above it, and below the coldest, a sensor is broken
constexpr double kColdest = -60;

std::optional<std::uint64_t> number_in(const std::filesystem::path& path, bool hexadecimal = false) {
  std::ifstream file(path);
  if (hexadecimal) file >> std::hex;
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

std::optional<double> celsius_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  double thousandths = 0;
  if (!(file >> thousandths)) return std::nullopt;
  const double degrees = thousandths / 1000;
  return degrees > kColdest && degrees < kHottest ? std::optional(degrees) : std::nullopt;
}

std::vector<std::filesystem::path> entries(const std::string& folder, std::string_view prefix) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->path().filename().string().starts_with(prefix)) found.push_back(entry->path());
  }
  return found;
}

std::string word_in(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// The kernel cools a processor by a lower clock ("cpufreq-cpu0", "thermal-cpufreq-0", ACPI's "Processor").
bool is_cooled(const std::string& root) {
  for (const std::filesystem::path& device : entries(root + "/class/thermal", "cooling_device")) {
    const std::string type = word_in(device / "type");
    const bool cools_processor = type.find("cpufreq") != std::string::npos || type == "Processor";
    if (cools_processor && number_in(device / "cur_state").value_or(0) > 0) return true;
  }
  return false;
}

}  // namespace

Heat read_heat(const std::string& root) {
  Heat heat;
  std::optional<double> hottest;
  for (const std::filesystem::path& zone : entries(root + "/class/thermal", "thermal_zone")) {
    const std::optional<double> celsius = celsius_in(zone / "temp");
    if (celsius) hottest = std::max(hottest.value_or(*celsius), *celsius);
  }
  heat.celsius = hottest.value_or(0);
  for (const std::filesystem::path& policy : entries(root + "/devices/system/cpu/cpufreq", "policy")) {
    const auto allowed = number_in(policy / "scaling_max_freq");
    const auto greatest = number_in(policy / "cpuinfo_max_freq");
    if (!allowed || !greatest || *allowed == 0 || *allowed > *greatest) continue;
    heat.clock_share =
        std::min(heat.clock_share, static_cast<double>(*allowed) / static_cast<double>(*greatest));
  }
  heat.throttled = is_cooled(root);
  if (const auto flags = number_in(root + kPiFlags, true)) {
    heat.throttled =
        heat.throttled || (*flags & (kUnderVoltage | kClockCapped | kThrottled | kSoftLimit)) != 0;
  }
  return heat;
}

}  // namespace shoal
