#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "transport/keys.h"

namespace shoal {

struct WorkerOptions {
  std::string hub;  // "host:port" of the hub's join endpoint
  JoinToken token;
  std::string name;                // "" for the host's name
  std::string state_directory;     // key and shard store
  std::string listen_host;         // "" for this machine's address towards the hub
  std::uint64_t memory_bytes = 0;  // 0: measured
  std::size_t num_threads = 0;     // 0: every core it may use
  std::string kernels;             // "" for the fastest
  double emulated_speed = 1;       // of this device's: emulated_speed.h
  Duration join_patience = std::chrono::seconds(60);
};

// A worker: a reactor thread that owns sockets and state, a compute thread that owns stages and pool, a store
// thread that owns the disk. Outlives its hub: it keeps its layers and looks for it again. Blocks until
// `stop` is set (OK), or the hub refuses it or cannot be found at first (an error that says what to do).
Status run_worker(WorkerOptions options, const std::atomic<bool>& stop);

}  // namespace shoal
