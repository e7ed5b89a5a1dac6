#include "transport/link_probe.h"

#include <algorithm>
#include <utility>

#include "transport/limits.h"

namespace shoal {
namespace {

constexpr Duration kGiveUp = std::chrono::seconds(1);
constexpr double kLongRoundTrip = 0.06;  // seconds: a larger ping would say no more and take longer
constexpr double kLeastRoundTrip = 1e-7;
constexpr double kFastestBytesPerSecond = 1e11;

void keep_least(double& least, double sample) { least = least == 0 ? sample : std::min(least, sample); }

// As a step's rows travel: in chunks.
std::vector<Payload> zeros(std::size_t bytes) {
  std::vector<Payload> chunks;
  while (bytes > 0) {
    const std::size_t chunk = std::min(bytes, kMaxPayloadChunkBytes);
    chunks.push_back(Payload::owning(std::vector<std::byte>(chunk)));
    bytes -= chunk;
  }
  return chunks;
}

}  // namespace

void LinkProbe::start(std::vector<DeviceId> peers, DeviceId self, FrameSizes sizes) {
  peers_ = std::move(peers);
  std::ranges::reverse(peers_);
  self_ = self;
  sizes_.decode = std::clamp<std::size_t>(sizes.decode, 1, kFirstGrownBytes / 2);
  sizes_.prefill = std::clamp(sizes.prefill, kFirstGrownBytes, kMaxPingBytes);
  report_ = {};
  finished_ = peers_.empty();
  begin_peer();
}

void LinkProbe::begin_peer() {
  in_flight_.reset();
  is_disturbed_ = false;
  phase_ = Phase::Empty;
  answered_ = 0;
  large_bytes_ = 0;
  next_bytes_ = kFirstGrownBytes;
  least_empty_ = least_decode_ = least_large_ = 0;
}

std::size_t LinkProbe::ping_bytes() const {
  switch (phase_) {
    case Phase::Empty:
      return 0;
    case Phase::Decode:
      return sizes_.decode;
    case Phase::Growing:
      return next_bytes_;
    case Phase::Large:
      return large_bytes_;
  }
  return 0;
}

std::optional<LinkProbe::Outgoing> LinkProbe::next(Time now) {
  if (in_flight_ && now - *in_flight_ > kGiveUp) is_disturbed_ ? in_flight_.reset() : finish_peer();
  if (peers_.empty() || in_flight_) return std::nullopt;
  in_flight_ = now;
  is_disturbed_ = false;
  return Outgoing{.to = peers_.back(),
                  .ping = {.nonce = ++nonce_, .from = self_, .payload = zeros(ping_bytes())}};
}

void LinkProbe::on_pong(DeviceId from, const Pong& pong, Time now) {
  if (!in_flight_ || peers_.empty() || from != peers_.back() || pong.nonce != nonce_) return;
  const double took = std::max(seconds(now - *in_flight_), kLeastRoundTrip);
  in_flight_.reset();
  if (!std::exchange(is_disturbed_, false)) judge(took);
}

void LinkProbe::judge(double took) {
  const auto enter = [&](Phase phase) {
    phase_ = phase;
    answered_ = 0;
  };
  ++answered_;
  switch (phase_) {
    case Phase::Empty:
      keep_least(least_empty_, took);
      if (answered_ == kSmallPings) enter(Phase::Decode);
      return;
    case Phase::Decode:
      keep_least(least_decode_, took);
      if (answered_ == kSmallPings) enter(Phase::Growing);
      return;
    case Phase::Growing:
      least_large_ = took;
      large_bytes_ = next_bytes_;
      next_bytes_ = std::min(next_bytes_ * kGrowth, sizes_.prefill);
      if (large_bytes_ == sizes_.prefill || took > kLongRoundTrip) enter(Phase::Large);
      return;
    case Phase::Large:
      keep_least(least_large_, took);
      if (answered_ + 1 == kLargePings) finish_peer();  // the last of the growing ones was the first
      return;
  }
}

void LinkProbe::finish_peer() {
  if (least_large_ > 0) {
    const auto more = static_cast<double>(large_bytes_ - sizes_.decode);
    const double rate = more / std::max(least_large_ - least_decode_, more / kFastestBytesPerSecond);
    const double one_way = std::max(least_decode_ - least_empty_ / 2, least_empty_ / 2);
    report_.links.push_back(
        {.to = peers_.back(),
         .latency_seconds = std::max(0.0, one_way - static_cast<double>(sizes_.decode) / rate),
         .bytes_per_second = rate});
  }
  peers_.pop_back();
  finished_ = peers_.empty();
  begin_peer();
}

void LinkProbe::stop() {
  if (peers_.empty()) return;
  peers_.clear();
  finished_ = true;
  begin_peer();
}

std::optional<LinkReport> LinkProbe::take_report() {
  if (!finished_) return std::nullopt;
  finished_ = false;
  return std::exchange(report_, {});
}

}  // namespace shoal
