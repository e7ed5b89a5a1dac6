#pragma once

#include <cstdint>
#include <string>

namespace shoal {

// What a control group (version 2, then 1) leaves to this process. The greatest number where there is no
// limit.
struct CgroupLimits {
  std::uint64_t memory_left =
      UINT64_MAX;  // bytes; page cache counts as free, for the kernel gives it up under pressure
  double cores = 1e9;
};

// `root` is where control groups are mounted; `group` is this process's own ("/system.slice/shoal.service"):
// its limits and those of all above it.
CgroupLimits cgroup_limits(const std::string& root, const std::string& group);
CgroupLimits cgroup_limits();  // of this process, from /proc/self/cgroup

}  // namespace shoal
