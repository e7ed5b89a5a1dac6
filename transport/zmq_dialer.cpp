#include <algorithm>

#include "transport/zmq_state.h"

namespace shoal {
namespace {

const char* words_for(ZmqConnectionEvent::Kind how, bool was_up) {
  if (was_up) return "the connection broke";
  if (how == ZmqConnectionEvent::KeyRefused) return "it refused our key";
  if (how == ZmqConnectionEvent::NotMade) return "no connection";
  return "the handshake failed: what listens there has not the expected key";
}

}  // namespace

Status ZmqDialer::open() {
  monitor_ = ZmqMonitor();
  dealer_.close();
  Result<ZmqSocket> dealer = ZmqSocket::open(shared_.context, ZmqKind::Dealer);
  if (!dealer) return fail(dealer.error());
  dealer_ = *std::move(dealer);
  dealer_.set_limits(lane_);
  if (endpoint_.find('[') != std::string::npos) dealer_.set_ipv6();
  const bool joins = lane_ == Lane::Join;
  if (joins && !shared_.options.join_keys)
    return fail(ErrorCode::InvalidArgument, "joining needs a join token");
  dealer_.use_curve(joins ? *shared_.options.join_keys : shared_.options.keys, server_key_);
  Result<ZmqMonitor> monitor = ZmqMonitor::open(shared_.context, dealer_);
  if (!monitor) return fail(monitor.error());
  monitor_ = *std::move(monitor);
  is_up_ = is_waiting_ = false;
  // Whatever goes wrong without an event (a host name that cannot be looked up): try anew.
  reopen_at_ = shared_.clock.now() + kConnectTimeout + kHandshakeTimeout;
  return dealer_.connect(endpoint_);
}

void ZmqDialer::advance(Time now) {
  if (now < reopen_at_) return;
  if (!is_waiting_) backoff_ = std::min<Duration>(backoff_ * 2, kReconnectMax);
  // The endpoint was accepted once; a failure here passes (no file descriptor left), so it is tried again.
  if (!open()) reopen_at_ = now + kReconnectMax;
}

void ZmqDialer::read_monitor(std::vector<NetworkEvent>& events) {
  while (const std::optional<ZmqConnectionEvent> event = monitor_.next()) {
    if (is_waiting_) continue;  // the first failure counts
    if (event->kind == ZmqConnectionEvent::Up) {
      came_up(events);
    } else {
      went_down(event->kind, events);
    }
  }
}

void ZmqDialer::came_up(std::vector<NetworkEvent>& events) {
  Prober::Answer pending;
  if (shared_.prober.cancel(device_, lane_, pending))
    tell_down(events, device_, lane_, false, std::move(pending.reason));
  is_up_ = told_failure_ = true;
  told_key_refusal_ = false;
  backoff_ = kReconnectMin;
  reopen_at_ = Time::max();
  events.emplace_back(PeerUp{device_, lane_});
}

void ZmqDialer::went_down(ZmqConnectionEvent::Kind how, std::vector<NetworkEvent>& events) {
  const Time now = shared_.clock.now();
  const bool was_up = std::exchange(is_up_, false);
  is_waiting_ = true;
  reopen_at_ = now + backoff_;
  backoff_ = std::min<Duration>(backoff_ * 2, kReconnectMax);
  const bool key_refused = how == ZmqConnectionEvent::KeyRefused;
  const bool is_news = key_refused && !std::exchange(told_key_refusal_, true);
  if (!was_up && std::exchange(told_failure_, true) && !is_news) return;
  const bool answered = key_refused || how == ZmqConnectionEvent::HandshakeFailed;
  if (answered) {
    tell_down(events, device_, lane_, false, words_for(how, was_up), key_refused);
  } else {
    shared_.prober.ask(device_, lane_, endpoint_, words_for(how, was_up), now);
  }
}

void ZmqDialer::read(std::vector<NetworkEvent>& events) {
  for (int i = 0; i < kMaxFramesPerWait && receive_frames(dealer_, received_); ++i)
    shared_.deliver(device_, lane_, received_, events);
}

}  // namespace shoal
