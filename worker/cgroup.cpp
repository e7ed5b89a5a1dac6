#include "worker/cgroup.h"

#include <algorithm>
#include <fstream>
#include <optional>

namespace shoal {
namespace {

std::optional<std::uint64_t> number_in(const std::string& path) {  // "max" is none
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

// File pages that the kernel can drop, from memory.stat.
std::uint64_t page_cache(const std::string& path, const std::string& prefix) {
  std::ifstream file(path);
  std::string key;
  std::uint64_t value = 0;
  std::uint64_t sum = 0;
  while (file >> key >> value) {
    if (key == prefix + "inactive_file" || key == prefix + "active_file") sum += value;
  }
  return sum;
}

std::uint64_t memory_left(std::uint64_t limit, std::uint64_t used, std::uint64_t cache) {
  used -= std::min(used, cache);
  return limit > used ? limit - used : 0;
}

void apply_v2(const std::string& folder, CgroupLimits& limits) {
  if (const auto limit = number_in(folder + "/memory.max")) {
    const std::uint64_t used = number_in(folder + "/memory.current").value_or(0);
    limits.memory_left =
        std::min(limits.memory_left, memory_left(*limit, used, page_cache(folder + "/memory.stat", "")));
  }
  std::ifstream file(folder + "/cpu.max");  // "max 100000" or "150000 100000": quota and period
  double quota = 0;
  double period = 0;
  if (file >> quota >> period && quota > 0 && period > 0)
    limits.cores = std::min(limits.cores, quota / period);
}

void apply_v1(const std::string& root, CgroupLimits& limits) {
  const std::string memory = root + "/memory/memory.";
  if (const auto limit = number_in(memory + "limit_in_bytes")) {
    const std::uint64_t used = number_in(memory + "usage_in_bytes").value_or(0);
    limits.memory_left =
        std::min(limits.memory_left, memory_left(*limit, used, page_cache(memory + "stat", "total_")));
  }
  const auto quota = number_in(root + "/cpu/cpu.cfs_quota_us");  // -1, read as none: no limit
  const auto period = number_in(root + "/cpu/cpu.cfs_period_us");
  const bool limited = quota && period && *quota > 0 && *quota < (1ull << 40) && *period > 0;
  if (limited)
    limits.cores = std::min(limits.cores, static_cast<double>(*quota) / static_cast<double>(*period));
}

}  // namespace

CgroupLimits cgroup_limits(const std::string& root, const std::string& group) {
  CgroupLimits limits;
  for (std::string folder = group;; folder.resize(folder.rfind('/'))) {
    while (folder.ends_with('/')) folder.pop_back();
    apply_v2(root + folder, limits);
    if (folder.rfind('/') == std::string::npos) break;
  }
  apply_v1(root, limits);
  return limits;
}

CgroupLimits cgroup_limits() {
  std::ifstream file("/proc/self/cgroup");
  std::string group;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::")) group = line.substr(3);
  }
  return cgroup_limits("/sys/fs/cgroup", group);
}

}  // namespace shoal
