#pragma once

#include <string>
#include <variant>

#include "base/log.h"
#include "transport/messages.h"
#include "transport/network.h"

namespace shoal {

// What a state machine wants of the network; the reactor performs it. Shared by hub and workers.
struct SendMessage {
  DeviceId to{};
  Lane lane{};
  Message message;
};
struct AdmitPeer {
  DeviceId device{};
  std::string public_key;
};
struct RevokePeer {
  DeviceId device{};
};
struct ConnectPeer {
  DeviceId device{};
  Lane lane{};
  std::string endpoint;
  std::string public_key;
};
struct DisconnectPeer {
  DeviceId device{};
  Lane lane{};
};

using NetworkCommand = std::variant<SendMessage, AdmitPeer, RevokePeer, ConnectPeer, DisconnectPeer>;

// Carries one out. A send that finds no way (the peer is down, its queue full) is a lost frame like any
// other: deadlines and repeats answer for it.
inline Status perform(Network& network, SendMessage& c) {
  return network.send(c.to, c.lane, std::move(c.message));
}
inline Status perform(Network& network, AdmitPeer& c) { return network.admit(c.device, c.public_key); }
inline Status perform(Network& network, RevokePeer& c) {
  network.revoke(c.device);
  return {};
}
inline Status perform(Network& network, ConnectPeer& c) {
  return network.connect(c.device, c.lane, c.endpoint, c.public_key);
}
inline Status perform(Network& network, DisconnectPeer& c) {
  network.disconnect(c.device, c.lane);
  return {};
}

// Into the log: no way to the peer is ordinary; what cannot be sent at all is our own bug.
inline void log_failure(const Status& done) {
  if (done) return;
  const bool is_ours = done.error().code() == ErrorCode::InvalidArgument;
  log_event(is_ours ? LogLevel::Error : LogLevel::Debug, "network_command_failed",
            {{"reason", done.error().message()}});
}

}  // namespace shoal
