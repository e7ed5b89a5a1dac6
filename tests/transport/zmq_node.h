#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <vector>

#include "transport/zmq_network.h"

namespace shoal {

// A real network on 127.0.0.1 with everything that happened to it so far.
struct ZmqNode {
  explicit ZmqNode(ZmqOptions options) : keys(options.keys) {
    Result<std::unique_ptr<ZmqNetwork>> opened = ZmqNetwork::open(std::move(options));
    REQUIRE_MESSAGE(opened, (opened ? "" : opened.error().message()));
    network = *std::move(opened);
  }

  std::string endpoint(Lane lane) const { return "tcp://127.0.0.1:" + std::to_string(network->port(lane)); }
  template <typename T>
  std::vector<const T*> all() const {
    std::vector<const T*> found;
    for (const NetworkEvent& event : events) {
      if (const T* one = std::get_if<T>(&event)) found.push_back(one);
    }
    return found;
  }
  template <typename T>
  std::size_t count() const {
    return all<T>().size();
  }
  template <typename T>  // messages of this kind
  std::vector<const T*> received() const {
    std::vector<const T*> found;
    for (const Received* one : all<Received>()) {
      if (const T* message = std::get_if<T>(&one->message)) found.push_back(message);
    }
    return found;
  }
  bool is_up(DeviceId device, Lane lane) const {
    bool up = false;
    for (const NetworkEvent& event : events) {
      if (const auto* one = std::get_if<PeerUp>(&event); one && one->device == device && one->lane == lane)
        up = true;
      if (const auto* one = std::get_if<PeerDown>(&event); one && one->device == device && one->lane == lane)
        up = false;
    }
    return up;
  }
  void turn(std::chrono::milliseconds timeout) { network->wait(timeout, events); }

  KeyPair keys;
  std::unique_ptr<ZmqNetwork> network;
  std::vector<NetworkEvent> events;
};

// Lets the nodes turn until `done`; false after `limit`.
inline bool run_until(std::vector<ZmqNode*> nodes, const std::function<bool()>& done,
                      std::chrono::milliseconds limit = std::chrono::seconds(5)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    for (ZmqNode* node : nodes) node->turn(std::chrono::milliseconds(1));
  }
  return true;
}
inline void run_for(std::vector<ZmqNode*> nodes, std::chrono::milliseconds time) {
  run_until(
      std::move(nodes), [] { return false; }, time);
}

inline ZmqOptions hub_options() {
  ZmqOptions options;
  options.role = ZmqOptions::Role::Hub;
  options.keys = make_key_pair();
  options.join_keys = make_key_pair();
  return options;
}
inline ZmqOptions worker_options() {
  ZmqOptions options;
  options.keys = make_key_pair();
  return options;
}

}  // namespace shoal
