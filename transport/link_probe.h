#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "transport/messages.h"

namespace shoal {

// Measures the links to a list of peers with frames of real size, one ping in flight at a time: first empty
// round trips (half the least is the one-way latency), then large one-way payloads (what the round trip grows
// by is their transfer time).
class LinkProbe {
 public:
  static constexpr std::uint32_t kSmallPings = 12;
  static constexpr std::uint32_t kLargePings = 4;
  static constexpr std::size_t kLargeBytes = 128 << 10;

  struct Outgoing {
    DeviceId to{};
    Ping ping;
  };

  void start(std::vector<DeviceId> peers, DeviceId self);
  bool running() const { return !peers_.empty(); }

  // The next ping to send, if none is in flight. A peer silent for a second is given up.
  std::optional<Outgoing> next(Time now);
  void on_pong(DeviceId from, const Pong& pong, Time now);
  // What was measured, once all peers are done.
  std::optional<LinkReport> take_report();

 private:
  void finish_peer();

  std::vector<DeviceId> peers_;  // back is being measured
  DeviceId self_{};
  LinkReport report_;
  bool finished_ = false;
  std::uint64_t nonce_ = 0;
  std::uint32_t sent_ = 0;  // to the peer being measured
  std::optional<Time> in_flight_;
  double least_small_ = 0;
  double least_large_ = 0;
};

}  // namespace shoal
