#pragma once

#include <cstdint>
#include <istream>
#include <string>

namespace shoal {

// What a control group (version 2, then 1) leaves to this process. The greatest number where there is no
// limit.
struct CgroupLimits {
  std::uint64_t memory_left =
      UINT64_MAX;  // bytes; page cache counts as free, for the kernel gives it up under pressure
  double cores = 1e9;
};

// Which groups a process is in, as /proc/self/cgroup names them ("/system.slice/shoal.service").
struct CgroupNames {
  std::string unified;  // version 2
  std::string memory;   // version 1, by controller
  std::string cpu;
};

// `root` is where control groups are mounted. The groups' own limits count, and those of all above them; what
// a container's mount does not show is not there.
CgroupLimits cgroup_limits(const std::string& root, const CgroupNames& names);
CgroupNames parse_cgroup_names(std::istream& proc_self_cgroup);
CgroupLimits cgroup_limits();  // of this process, from /proc/self/cgroup

}  // namespace shoal
