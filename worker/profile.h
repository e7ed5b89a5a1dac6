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
// several steps after untimed ones. Layers are timed as a stage of several, heads as several copies in turn,
// of `working_set_bytes` together (never more than the model has), so that they do not sit in a cache that
// the model would not fit, and what a visit costs once is shared as it is in service. The weights are
// synthetic but of the file's types. SmolLM2 takes about a second, a slow device or a model with many kinds
// of layers more. Runs on the compute thread; what handing steps over to it costs is measured outside
// (worker_state.cpp).
Result<ProfileReport> measure_profile(const ProfileRequest& request, const KernelTable& kernels,
                                      ThreadPool& pool, std::uint64_t working_set_bytes);

// Twice the largest cache, so that what is read comes from memory; less where the device gives little.
std::uint64_t profile_working_set(std::uint64_t cache_bytes, std::uint64_t memory_bytes);

// Bytes per second of plain streaming reads by all of the pool's threads together.
double measure_read_bandwidth(ThreadPool& pool);

}  // namespace shoal
