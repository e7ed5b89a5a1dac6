#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "transport/messages.h"

namespace shoal {

// Lanes never share a socket: activations are not held up by shard data, nor heartbeats by either.
//   Join     worker -> hub's join endpoint (join key)
//   Control  one connection per worker, worker -> hub
//   Data     every process binds one inbox; senders connect to it. Hub included.
//   Bulk     worker -> hub's bulk endpoint: shard data, later KV copies and logs
enum class Lane : std::uint8_t { Join, Control, Data, Bulk };
const char* name_of(Lane lane);

// What came in. `from` is the identity of the CURVE key, never what a frame claims.
struct Received {
  DeviceId from{};
  Lane lane{};
  Message message;
};
// A join request comes from nobody we know yet; the reply goes back through `reply_join`.
struct JoinReceived {
  std::uint64_t ticket = 0;
  JoinRequest request;
};
// send() to it works from here on. Told by the side that connects once keys are exchanged, and by the side
// that listens (Control and Bulk only; Data goes one way, Pong excepted) at the peer's first frame. A second
// connection of the same key replaces the first: PeerDown, PeerUp.
struct PeerUp {
  DeviceId device{};
  Lane lane{};
};
// The connection broke, or its first attempts failed (told once per connect()). `refused`: nothing listens at
// the peer's address any more (the process is dead; probed by connecting). `key_refused`: the peer answers
// and does not admit our key; told once, also where an earlier failure was told.
struct PeerDown {
  DeviceId device{};
  Lane lane{};
  bool refused = false;
  std::string reason = {};  // in words, where it is known: "it refused our key"
  bool key_refused = false;
};
// Bytes that are no message of ours, or too many, or on the wrong lane. That key's frames on this lane are
// dropped unread from here on; the hub revokes it.
struct Malformed {
  DeviceId from{};
  Lane lane{};
  std::string reason;
};
// Somebody called wake().
struct Woken {};

using NetworkEvent = std::variant<Received, JoinReceived, PeerUp, PeerDown, Malformed, Woken>;

// One process's sockets, or a simulated host's. Owned by the reactor thread, which makes every call but
// wake(). Nothing blocks but wait().
class Network {
 public:
  virtual ~Network() = default;

  // Admits a peer's key under this id (ZAP), before any frame of it is read. Again with another key: the old
  // one is revoked. Forgives malformed frames. InvalidArgument: no key, or admitted under another id.
  virtual Status admit(DeviceId device, const std::string& public_key) = 0;
  // Refuses the key from now on and cuts its connections to us; no PeerDown follows.
  virtual void revoke(DeviceId device) = 0;

  // Connects to the peer's endpoint ("tcp://host:port") on this lane, with its expected public key.
  // Reconnects by itself; frames are queued only while connected. Calling it again with another endpoint or
  // key replaces the connection.
  virtual Status connect(DeviceId device, Lane lane, const std::string& endpoint,
                         const std::string& public_key) = 0;
  virtual void disconnect(DeviceId device, Lane lane) = 0;

  // On our connection to the peer where connect() made one on this lane, else on the peer's to us (Control,
  // Bulk). A Pong goes back where its Ping came from. Unavailable: no such connection, not up, or its queue
  // is full. InvalidArgument: out of bounds, or not a message of this lane. The message is consumed either
  // way.
  virtual Status send(DeviceId to, Lane lane, Message message) = 0;
  virtual Status reply_join(std::uint64_t ticket, JoinReply reply) = 0;

  // Appends what happened; returns at the latest after `timeout`.
  virtual void wait(Duration timeout, std::vector<NetworkEvent>& events) = 0;

  // From any thread: makes wait() return.
  virtual void wake() = 0;

  // How many messages were turned away: malformed, or of a key cut off for that.
  virtual std::uint64_t rejected_frames() const { return 0; }
};

}  // namespace shoal
