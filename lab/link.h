#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace shoal {

// How one directed link between two test hosts behaves. Frames queue for the wire, are serialised at its rate
// and arrive after its delay, in order; one that would wait longer than `queue` is dropped, as a router does.
struct LabLink {
  Duration delay = Duration::zero();
  Duration jitter = Duration::zero();  // added to the delay, uniform in [0, jitter]
  Duration queue = std::chrono::milliseconds(200);
  double bytes_per_second = 0;  // 0: unlimited
  double loss = 0;              // probability per frame
  bool cut = false;             // every frame is dropped
};

// Applies "delay=2ms", "jitter=1ms", "rate=100mbit", "loss=0.01", "queue=50ms". InvalidArgument names the
// option and what it should be; the link is as it was then.
Status apply_option(LabLink& link, const std::string& option);
Status apply_options(LabLink& link, const std::vector<std::string>& options);

// When the frame of `bytes` that comes now arrives, and the wire's new state; nothing: dropped for its queue.
// Loss and cuts are the caller's. `random` in [0, 1).
struct LabWire {
  Time free_at{};       // when it can take the next frame
  Time last_arrival{};  // no frame overtakes
};
std::optional<Time> pass(const LabLink& link, LabWire& wire, std::size_t bytes, Time now, double random);

}  // namespace shoal
