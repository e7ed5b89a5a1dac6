#include "tests/transport/raw_peer.h"

#include <zmq.hpp>

#include "base/check.h"
#include "transport/wire.h"

namespace shoal {
namespace {

constexpr int kWatched = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;

class ConnectionMonitor : public zmq::monitor_t {
 public:
  bool is_up() {
    while (check_event(0)) {
    }
    return is_up_;
  }

 private:
  void on_event_handshake_succeeded(const zmq_event_t&, const char*) override { is_up_ = true; }
  void on_event_disconnected(const zmq_event_t&, const char*) override { is_up_ = false; }

  bool is_up_ = false;
};

}  // namespace

// In this order: what is watched outlives its monitor.
struct RawPeer::State {
  zmq::context_t context;
  zmq::socket_t socket{context, zmq::socket_type::dealer};
  ConnectionMonitor monitor;
};

RawPeer::RawPeer(const std::string& endpoint, const Mechanism& mechanism)
    : state_(std::make_unique<State>()) {
  zmq::socket_t& socket = state_->socket;
  socket.set(zmq::sockopt::linger, 0);
  if (const auto* curve = std::get_if<Curve>(&mechanism)) {
    socket.set(zmq::sockopt::curve_serverkey, curve->server_key);
    socket.set(zmq::sockopt::curve_publickey, curve->keys.public_key);
    socket.set(zmq::sockopt::curve_secretkey, curve->keys.secret_key);
  } else if (std::holds_alternative<Plain>(mechanism)) {
    socket.set(zmq::sockopt::plain_username, "admin");
    socket.set(zmq::sockopt::plain_password, "admin");
  }
  state_->monitor.init(socket, "inproc://monitor", kWatched);
  socket.connect(endpoint);
}

RawPeer::~RawPeer() = default;

bool RawPeer::is_up() { return state_->monitor.is_up(); }

void RawPeer::send(const std::vector<std::string>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto more = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
    if (!state_->socket.send(zmq::buffer(frames[i]), zmq::send_flags::dontwait | more))
      return;  // its queue is full
  }
}

std::string RawPeer::header_of(Message message) {
  Encoder encoder;
  EncodedMessage encoded;
  SHOAL_CHECK(encoder.encode(std::move(message), encoded).has_value());
  return std::string(reinterpret_cast<const char*>(encoded.header.data()), encoded.header.size());
}

}  // namespace shoal
