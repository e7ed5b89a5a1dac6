#pragma once

namespace shoal {

// What a device does where nobody has measured the device itself: data sheets, published measurements.
struct DeviceFigures {
  double read_bytes_per_second = 0;  // of memory by all cores, as a kernel reads weights
  double int8_macs_per_second = 0;   // multiply-adds that products of many rows reach on all cores
  double disk_bytes_per_second = 0;  // writes to its store
};

// Of the same device with another clock: memory and compute `speed` times as fast.
inline DeviceFigures scaled(DeviceFigures figures, double speed) {
  figures.read_bytes_per_second *= speed;
  figures.int8_macs_per_second *= speed;
  return figures;
}

}  // namespace shoal
