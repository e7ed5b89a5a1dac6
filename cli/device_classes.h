#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "simulation/device_figures.h"

namespace shoal {

struct DevicePower {
  double idle_watts = 0;
  double busy_watts = 0;  // while it computes
};

// A kind of device, as cluster-configs/device-classes.yaml describes it.
struct DeviceClass {
  std::string name;
  std::uint64_t memory_bytes = 0;  // what such a device can give
  std::uint32_t threads = 1;
  DeviceFigures figures;
  std::optional<DevicePower> power;
};

// Read as strictly as a cluster config, its errors likewise with file:line:column.
Result<std::vector<DeviceClass>> read_device_classes(const std::string& path);

}  // namespace shoal
