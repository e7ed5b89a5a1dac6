#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/range.h"

namespace shoal {

// Measured cost of one unit on one device, in seconds.
struct UnitCost {
  double decode = 0;          // one row, empty context
  double batch32 = 0;         // 32 rows, the whole step; below `decode` counts as `decode`
  double per_1k_context = 0;  // added per 1,000 positions of context, one row
};

// What a stage computes in, in bytes, by what it holds. Every stage has its own; a device's figures grow with
// its threads. embedding <= layers <= layers_and_head, and head <= layers_and_head <= layers + head.
struct StageScratch {
  std::uint64_t embedding = 0;  // alone
  std::uint64_t layers = 0;     // with the embedding or without it
  std::uint64_t head = 0;       // alone
  std::uint64_t layers_and_head = 0;
  friend bool operator==(const StageScratch&, const StageScratch&) = default;
};

// Where a device has a unit's weights now.
enum class UnitPlace : std::uint8_t { Nowhere, OnDisk, InMemory };

// What a device brings. Everything is measured (by its worker, with the real kernels); nothing is assumed.
struct DeviceProfile {
  std::string name;
  std::uint64_t memory_bytes = 0;   // what it gives; shard, KV, scratch, log and fixed overhead must fit
  std::vector<UnitCost> units;      // one per unit of the model
  StageScratch scratch;             // of each stage it runs
  double step_overhead = 0;         // seconds per visit, whatever runs
  bool may_compute = true;          // false: joined, but banned from stages (drained, other arithmetic)
  std::uint64_t standby_bytes = 0;  // kept free for units it would take over from others (weights, KV copies)
  std::vector<bool> bans = {};      // per unit: may not run here; empty: none is banned
  std::vector<UnitPlace> places = {};  // per unit; empty: nowhere. Only for PlanProblem::expected_tokens
  double disk_bytes_per_second = 1e9;
  double fetch_bytes_per_second = 1e9;  // from the hub or from peers
};

// One directed link.
struct LinkProfile {
  double latency = 0;  // seconds, one way
  double bytes_per_second = 1e9;
  bool closed = false;  // nothing may cross it
};

// What a unit takes and sends.
struct UnitShape {
  std::uint64_t weight_bytes = 0;  // as stored on the worker
  std::uint64_t tied_group = 0;    // units of one non-zero group on one device share a copy (embedding, head)
  std::uint64_t tied_bytes = 0;    // how many of weight_bytes are shared
  std::uint64_t kv_bytes = 0;      // for one of the problem's num_sequences (a window bounds it)
  std::uint64_t output_bytes = 0;  // what it sends on, per row
  std::string name = {};           // for messages; empty: "the embedding", "layer 3", "the head"
  std::uint64_t live_kv_bytes = 0;  // of running sequences: what a device that takes it over must be sent
};

// This unit runs on this device and nowhere else.
struct Pin {
  std::uint32_t unit = 0;
  std::uint32_t device = 0;
  friend bool operator==(const Pin&, const Pin&) = default;
};

enum class Objective : std::uint8_t {
  Latency,     // seconds per token of one stream
  Throughput,  // seconds per token of num_streams streams on the busiest device or link; of equals, least
               // Latency
  Balanced,    // of the plans within latency_slack of the least Latency, the one whose busiest device or link
               // (as for Throughput) is least busy; of equals, least Latency. On equal devices: an even split
};

// Which device may run the first units and also the last, with others between.
enum class Ring : std::uint8_t { AnyDevice, OneDevice, NoDevice };

// A planning problem: all that the planner may look at.
struct PlanProblem {
  std::vector<UnitShape> units;  // embedding, layers, head
  std::vector<DeviceProfile> devices;
  std::vector<std::vector<LinkProfile>> links;  // [from][to] between devices
  std::vector<LinkProfile> from_hub;            // hub -> device: token ids
  std::vector<LinkProfile> to_hub;              // device -> hub: candidates
  std::uint64_t input_bytes = 256;              // per row, hub -> first stage
  std::uint64_t result_bytes = 1024;            // per row, last stage -> hub
  std::uint64_t fixed_bytes = 0;                // per device that takes part (process, log, buffers)
  double context = 512;                         // positions at which a stage's time is judged
  Range layers = {};  // which units are layers, for min_stages and scratch; what comes before them counts as
                      // the embedding, what comes after as the head. Empty: all but the first and the last
  std::uint32_t min_stages = 1;   // distinct devices that must hold a layer each; 0 or 1: free
  std::uint32_t num_streams = 1;  // k, for Throughput and Balanced
  double rows_per_step = 0;       // for the same; 0: num_streams shared out over the plan's devices
  Objective objective = Objective::Latency;
  double latency_slack = 0.02;  // for Balanced: how much longer than the least Latency a token may take
  Ring ring = Ring::AnyDevice;
  std::uint32_t ring_device = 0;    // of Ring::OneDevice
  std::vector<Pin> pins = {};       // at most one per unit
  double most_bottleneck = 0;       // for Latency: no device or link busier than this (as for Throughput), in
                                    // seconds per token; 0: no limit
  std::uint32_t num_sequences = 1;  // whose KV must fit
  double expected_tokens = 0;  // that the plan is to serve: loading what a device does not hold is shared
                               // out over them and counts as its time; 0: loading costs nothing
  std::uint32_t prompt_tokens = 0;  // of the prediction's time to first token; 0: not asked
  std::uint32_t chunk_tokens = 0;   // rows of a prompt per step; 0: all at once
};

}  // namespace shoal
