#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "transport/keys.h"
#include "transport/network.h"

namespace shoal {

struct ZmqOptions {
  enum class Role { Hub, Worker };
  Role role = Role::Worker;
  KeyPair keys;  // long-term

  // Hub: the pair whose public half may reach the join lane. Worker: the pair to join with
  // (join_key_pair(token)); not needed once joined.
  std::optional<KeyPair> join_keys;

  std::string host = "127.0.0.1";  // an address of this machine to listen on, 0.0.0.0 or :: for all
  // 0: any free port. A worker listens for data alone.
  std::uint16_t join_port = 0;
  std::uint16_t control_port = 0;
  std::uint16_t data_port = 0;
  std::uint16_t bulk_port = 0;
};

// The network over ZeroMQ: a ROUTER for each lane this process listens on, a DEALER for each peer and lane it
// connects to, CURVE on all of them (there is no switch), one ZAP handler that denies by default, one I/O
// thread. Keys say who a peer is; nothing a frame claims does.
//
// One thread (the reactor's) makes every call but wake(). Frames, connection events, ZAP requests, probes and
// reconnects are all served inside wait(), so wait() must be called at least every kHandshakeTimeout / 2;
// nothing else blocks.
//
// Joining: a worker connect()s to kHub on Lane::Join with the hub's key and sends JoinRequest; the hub gets
// JoinReceived and answers with reply_join(); the worker gets Received{kHub, Join, JoinReply}. Then the
// worker admit()s kHub's key (the hub connects to its inbox).
class ZmqNetwork final : public Network {
 public:
  // InvalidArgument: a key is none, or an endpoint cannot be listened on (named, with what to do).
  // Unsupported: libzmq without CURVE.
  static Result<std::unique_ptr<ZmqNetwork>> open(ZmqOptions options);
  ~ZmqNetwork() override;

  // The port this lane listens on, 0 if it does not.
  std::uint16_t port(Lane lane) const;

  Status admit(DeviceId device, const std::string& public_key) override;
  void revoke(DeviceId device) override;
  Status connect(DeviceId device, Lane lane, const std::string& endpoint,
                 const std::string& public_key) override;
  void disconnect(DeviceId device, Lane lane) override;
  Status send(DeviceId to, Lane lane, Message message) override;
  Status reply_join(std::uint64_t ticket, JoinReply reply) override;
  void wait(Duration timeout, std::vector<NetworkEvent>& events) override;
  void wake() override;
  std::uint64_t rejected_frames() const override;

  // Connections turned away by key or mechanism.
  std::uint64_t refused_connections() const;

 private:
  struct State;
  explicit ZmqNetwork(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
