#include "tests/transport/raw_peer.h"

#include <zmq.h>

#include "base/bytes.h"
#include "base/check.h"
#include "transport/wire.h"

namespace shoal {

struct RawPeer::State {
  void* context = zmq_ctx_new();
  void* socket = zmq_socket(context, ZMQ_DEALER);
  void* monitor = zmq_socket(context, ZMQ_PAIR);
  bool up = false;
};

RawPeer::RawPeer(const std::string& endpoint, const Mechanism& mechanism)
    : state_(std::make_unique<State>()) {
  void* socket = state_->socket;
  const auto set = [&](int option, const auto& value) {
    SHOAL_CHECK(zmq_setsockopt(socket, option, value.data(), value.size()) == 0);
  };
  const int no = 0;
  zmq_setsockopt(socket, ZMQ_LINGER, &no, sizeof no);
  if (const auto* curve = std::get_if<Curve>(&mechanism)) {
    set(ZMQ_CURVE_SERVERKEY, curve->server_key);
    set(ZMQ_CURVE_PUBLICKEY, curve->keys.public_key);
    set(ZMQ_CURVE_SECRETKEY, curve->keys.secret_key);
  } else if (std::holds_alternative<Plain>(mechanism)) {
    set(ZMQ_PLAIN_USERNAME, std::string("admin"));
    set(ZMQ_PLAIN_PASSWORD, std::string("admin"));
  }
  SHOAL_CHECK(zmq_socket_monitor(socket, "inproc://monitor",
                                 ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED) == 0);
  SHOAL_CHECK(zmq_connect(state_->monitor, "inproc://monitor") == 0);
  SHOAL_CHECK(zmq_connect(socket, endpoint.c_str()) == 0);
}

RawPeer::~RawPeer() {
  zmq_close(state_->monitor);
  zmq_close(state_->socket);
  zmq_ctx_term(state_->context);
}

bool RawPeer::is_up() {
  std::byte event[6];
  while (zmq_recv(state_->monitor, event, sizeof event, ZMQ_DONTWAIT) == sizeof event) {
    zmq_recv(state_->monitor, nullptr, 0, ZMQ_DONTWAIT);
    state_->up = load<std::uint16_t>(event) == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
  }
  return state_->up;
}

void RawPeer::send(const std::vector<std::string>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    zmq_send(state_->socket, frames[i].data(), frames[i].size(),
             ZMQ_DONTWAIT | (i + 1 < frames.size() ? ZMQ_SNDMORE : 0));
  }
}

std::string RawPeer::header_of(Message message) {
  Encoder encoder;
  EncodedMessage encoded;
  SHOAL_CHECK(encoder.encode(std::move(message), encoded).has_value());
  return std::string(reinterpret_cast<const char*>(encoded.header.data()), encoded.header.size());
}

}  // namespace shoal
