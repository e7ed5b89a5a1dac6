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
  // Above memory.high a group is not killed but slowed down until nobody wants it.
  for (const char* name : {"/memory.max", "/memory.high"}) {
    const auto limit = number_in(folder + name);
    if (!limit) continue;
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

void apply_v1_memory(const std::string& folder, CgroupLimits& limits) {
  const std::string memory = folder + "/memory.";
  if (const auto limit = number_in(memory + "limit_in_bytes")) {
    const std::uint64_t used = number_in(memory + "usage_in_bytes").value_or(0);
    limits.memory_left =
        std::min(limits.memory_left, memory_left(*limit, used, page_cache(memory + "stat", "total_")));
  }
}

void apply_v1_cpu(const std::string& folder, CgroupLimits& limits) {
  const auto quota = number_in(folder + "/cpu.cfs_quota_us");  // -1, read as none: no limit
  const auto period = number_in(folder + "/cpu.cfs_period_us");
  const bool limited = quota && period && *quota > 0 && *quota < (1ull << 40) && *period > 0;
  if (limited)
    limits.cores = std::min(limits.cores, static_cast<double>(*quota) / static_cast<double>(*period));
}

// The group's folder, and those of all above it.
template <typename Visit>
void for_each_above(const std::string& root, std::string group, Visit&& visit) {
  while (true) {
    while (group.ends_with('/')) group.pop_back();
    visit(root + group);
    if (group.rfind('/') == std::string::npos) return;
    group.resize(group.rfind('/'));
  }
}

}  // namespace

CgroupLimits cgroup_limits(const std::string& root, const CgroupNames& names) {
  CgroupLimits limits;
  for_each_above(root, names.unified, [&](const std::string& folder) { apply_v2(folder, limits); });
  for_each_above(root + "/memory", names.memory,
                 [&](const std::string& folder) { apply_v1_memory(folder, limits); });
  for_each_above(root + "/cpu", names.cpu, [&](const std::string& folder) { apply_v1_cpu(folder, limits); });
  return limits;
}

// Lines "0::/version/two" and "4:memory,hugetlb:/version/one".
CgroupNames parse_cgroup_names(std::istream& lines) {
  CgroupNames names;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (line.starts_with("0::")) names.unified = group;
    if (controllers.find(",memory,") != std::string::npos) names.memory = group;
    if (controllers.find(",cpu,") != std::string::npos) names.cpu = group;
  }
  return names;
}

CgroupLimits cgroup_limits() {
  std::ifstream file("/proc/self/cgroup");
  return cgroup_limits("/sys/fs/cgroup", parse_cgroup_names(file));
}

}  // namespace shoal
