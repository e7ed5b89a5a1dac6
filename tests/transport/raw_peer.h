#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "transport/keys.h"
#include "transport/messages.h"

namespace shoal {

// A peer that speaks ZeroMQ and says whatever it is told to: for tests of what must not get in.
class RawPeer {
 public:
  struct Null {};
  struct Plain {};
  struct Curve {
    KeyPair keys;
    std::string server_key;
  };
  using Mechanism = std::variant<Null, Plain, Curve>;

  RawPeer(const std::string& endpoint, const Mechanism& mechanism);
  ~RawPeer();
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  bool is_up();  // its handshake succeeded and the connection still stands
  void send(const std::vector<std::string>& frames);

  static std::string header_of(Message message);  // the header frame of a good message

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shoal
