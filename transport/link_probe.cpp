#include "transport/link_probe.h"

#include <algorithm>

namespace shoal {
namespace {
constexpr Duration kGiveUp = std::chrono::seconds(1);
constexpr double kFastestBytesPerSecond = 1e11;
}  // namespace

void LinkProbe::start(std::vector<DeviceId> peers, DeviceId self) {
  peers_ = std::move(peers);
  std::ranges::reverse(peers_);
  self_ = self;
  report_ = {};
  finished_ = peers_.empty();
  sent_ = 0;
  in_flight_.reset();
  least_small_ = least_large_ = 0;
}

std::optional<LinkProbe::Outgoing> LinkProbe::next(Time now) {
  if (in_flight_ && now - *in_flight_ > kGiveUp) {
    finish_peer();
  }
  if (peers_.empty() || in_flight_) return std::nullopt;
  Outgoing out{.to = peers_.back(), .ping = {.nonce = ++nonce_, .from = self_, .payload = {}}};
  if (sent_ >= kSmallPings) out.ping.payload.push_back(Payload::owning(std::vector<std::byte>(kLargeBytes)));
  ++sent_;
  in_flight_ = now;
  return out;
}

void LinkProbe::on_pong(DeviceId from, const Pong& pong, Time now) {
  if (!in_flight_ || peers_.empty() || from != peers_.back() || pong.nonce != nonce_) return;
  const double took = std::max(seconds(now - *in_flight_), 1e-7);
  in_flight_.reset();
  double& least = sent_ > kSmallPings ? least_large_ : least_small_;
  least = least == 0 ? took : std::min(least, took);
  if (sent_ == kSmallPings + kLargePings) finish_peer();
}

void LinkProbe::finish_peer() {
  in_flight_.reset();
  sent_ = 0;
  if (least_small_ > 0 && least_large_ > 0) {
    const double transfer =
        std::max(least_large_ - least_small_, static_cast<double>(kLargeBytes) / kFastestBytesPerSecond);
    report_.links.push_back({.to = peers_.back(),
                             .latency_seconds = least_small_ / 2,
                             .bytes_per_second = static_cast<double>(kLargeBytes) / transfer});
  }
  least_small_ = least_large_ = 0;
  peers_.pop_back();
  finished_ = peers_.empty();
}

std::optional<LinkReport> LinkProbe::take_report() {
  if (!finished_) return std::nullopt;
  finished_ = false;
  return std::exchange(report_, {});
}

}  // namespace shoal
