#pragma once

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "transport/messages.h"
#include "worker/emulated_speed.h"

namespace shoal {

// Measures this device with the real kernels on the real shapes and types: for each representative unit of
// the request (embedding, every kind of layer, head) the seconds of one row and of 32 rows (of 32 sequences),
// and what 1,000 positions of context add. The weights are synthetic but of the file's types, in enough
// copies that they do not sit in a cache that the real shard would not fit. Takes about a second; runs on the
// compute thread. `speed`: each step takes as long as it would on that slower device.
Result<ProfileReport> measure_profile(const ProfileRequest& request, const KernelTable& kernels,
                                      ThreadPool& pool, EmulatedSpeed speed = EmulatedSpeed(1));

// Bytes per second of plain streaming reads by all of the pool's threads together.
double measure_read_bandwidth(ThreadPool& pool);

}  // namespace shoal
