#pragma once

#include <cstdint>

#include "base/result.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "transport/messages.h"

namespace shoal {

// Raised whenever what a profile's figures mean, or how they are taken, changes: profiles of before are made
// anew. So does any change of kernels that makes them faster without changing a bit.
inline constexpr std::uint32_t kProfileVersion = 2;

// Measures this device with the real kernels on the real shapes and types: for each representative unit of
// the request (embedding, every kind of layer, head) the figures of a LayerProfile, each the median of
// several steps after untimed ones. Layers are timed as a stage of several, so that neither weights nor KV sit
// in a cache that the real shard would not fit, and what a visit costs once is shared as it is in service.
// The weights are synthetic but of the file's types. SmolLM2 takes about a second, a slow device or a model
// with many kinds of layers more; at most about 100 MB. Runs on the compute thread.
Result<ProfileReport> measure_profile(const ProfileRequest& request, const KernelTable& kernels,
                                      ThreadPool& pool);

// Bytes per second of plain streaming reads by all of the pool's threads together.
double measure_read_bandwidth(ThreadPool& pool);

// What a visit costs beside computing: the calling thread, as the compute thread does, wakes a thread that
// polls, as the reactor does, and is woken by it. Seconds, median of several.
double measure_hand_over();

}  // namespace shoal
