#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "transport/messages.h"

namespace shoal {

// Measures the links to a list of peers, one ping in flight at a time (the caller paces them: a device that
// has just answered answers sooner than one that steps reach after a pause), with frames as large as real
// ones: empty pings and pings of a decode step's size, then of a growing size up to a prefill step's, less
// where the link is slow. Of each size the least round trip counts; pongs are empty, so half the empty round
// trip is the way back. What is reported is such that latency + bytes / rate is exact for both real sizes.
class LinkProbe {
 public:
  struct FrameSizes {
    std::size_t decode = 2560;
    std::size_t prefill = 256 << 10;
  };
  static constexpr std::uint32_t kSmallPings = 6;  // empty ones, and as many of a decode step's size
  static constexpr std::uint32_t kLargePings = 3;
  static constexpr std::size_t kFirstGrownBytes = 16 << 10;
  static constexpr std::size_t kGrowth = 4;

  struct Outgoing {
    DeviceId to{};
    Ping ping;
  };

  // In this order. Sizes are at most kMaxPingBytes.
  void start(std::vector<DeviceId> peers, DeviceId self, FrameSizes sizes);
  bool running() const { return !peers_.empty(); }

  // The next ping to send, if none is in flight. A peer silent for a second is given up; one that is only too
  // slow for a large ping is measured by the largest that came back.
  std::optional<Outgoing> next(Time now);
  void on_pong(DeviceId from, const Pong& pong, Time now);
  // Something else uses the links: what is in flight measures nothing, and is sent again.
  void disturb() { is_disturbed_ = in_flight_.has_value(); }
  // No more pings: the report holds who was measured so far.
  void stop();
  // What was measured, once all peers are done.
  std::optional<LinkReport> take_report();

 private:
  enum class Phase : std::uint8_t { Empty, Decode, Growing, Large };

  void begin_peer();
  std::size_t ping_bytes() const;
  void judge(double took);
  void finish_peer();

  std::vector<DeviceId> peers_;  // back is being measured
  DeviceId self_{};
  FrameSizes sizes_;
  LinkReport report_;
  bool finished_ = false;
  std::uint64_t nonce_ = 0;
  std::optional<Time> in_flight_;
  bool is_disturbed_ = false;
  // Of the peer being measured:
  Phase phase_ = Phase::Empty;
  std::uint32_t answered_ = 0;   // in this phase
  std::size_t large_bytes_ = 0;  // of the largest ping that came back
  std::size_t next_bytes_ = 0;   // of the next, while growing
  double least_empty_ = 0;
  double least_decode_ = 0;
  double least_large_ = 0;
};

}  // namespace shoal
