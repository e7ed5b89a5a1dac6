#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "transport/keys.h"
#include "transport/network.h"
#include "transport/payload.h"

// ZeroMQ as far as ZmqNetwork needs it: owners for its context, sockets, frames and monitors. zmq_socket.cpp
// is the one home of <zmq.h>. The C API and not cppzmq, because here a send that fails is a value and not an
// exception, and frames are moved without an allocation.
namespace shoal {

// Keeps payloads alive while libzmq's I/O thread still sends from them. The slots are used again.
class PayloadSlots {
 public:
  struct Slot {
    Payload payload;
    PayloadSlots* home = nullptr;
  };
  Slot* take(Payload payload);
  void give_back(Slot* slot);  // any thread

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Slot>> all_;
  std::vector<Slot*> idle_;
};

// One frame.
class ZmqFrame {
 public:
  ZmqFrame() noexcept;
  static ZmqFrame copy_of(Bytes bytes);
  static ZmqFrame sharing(Payload payload, PayloadSlots& slots);  // the payload's bytes are not copied
  ZmqFrame(ZmqFrame&& other) noexcept;
  ZmqFrame& operator=(ZmqFrame&& other) noexcept;
  ~ZmqFrame();

  Bytes bytes() const;
  bool has_more() const;
  std::string_view user_id() const;  // what our ZAP desk called its connection; empty: none
  int connection_fd() const;         // -1: unknown

  // As a payload that keeps the frame. (Bytes that libzmq stores inside the frame itself, up to 33, are
  // copied.)
  static Payload into_payload(ZmqFrame frame);

  void* raw() { return raw_; }

 private:
  alignas(8) mutable std::byte raw_[64];
};

class ZmqContext {
 public:
  ZmqContext();
  ~ZmqContext();  // waits for the I/O thread
  ZmqContext(const ZmqContext&) = delete;
  ZmqContext& operator=(const ZmqContext&) = delete;
  void* raw() const { return raw_; }

 private:
  void* raw_;
};

enum class ZmqKind { Router, Dealer, Rep, Pair };

class ZmqSocket {
 public:
  ZmqSocket() = default;
  static Result<ZmqSocket> open(ZmqContext& context, ZmqKind kind);  // OutOfMemory: no file descriptor left
  ZmqSocket(ZmqSocket&& other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  ZmqSocket& operator=(ZmqSocket&& other) noexcept;
  ~ZmqSocket() { close(); }
  void close();
  explicit operator bool() const { return raw_ != nullptr; }
  void* raw() const { return raw_; }

  // Everything in limits.h that a lane's socket must be told.
  void set_limits(Lane lane);
  void set_ipv6() const;
  void set_linger(std::chrono::milliseconds linger) const;
  void serve_curve(const KeyPair& keys, Lane lane);  // ZAP domain: the lane's name
  void use_curve(const KeyPair& keys, const std::string& server_public_key);

  Status bind(const std::string& endpoint);
  Status connect(const std::string& endpoint);
  std::string last_endpoint() const;

  enum class Sent { Yes, Full, Unreachable };
  Sent send(ZmqFrame frame, bool more);  // never blocks
  bool receive(ZmqFrame& frame);         // false: nothing there

 private:
  void* raw_ = nullptr;
};

// What happened to a socket's connections.
struct ZmqConnectionEvent {
  enum Kind { Accepted, Up, Down, NotMade, KeyRefused, HandshakeFailed } kind{};
  int fd = -1;  // Accepted, Down
};
// The watched socket outlives its monitor. Closing ends the watching first: libzmq's I/O thread tells events
// by a blocking send, and with nobody left to read them it would stand still, and with it every connection.
class ZmqMonitor {
 public:
  ZmqMonitor() = default;
  static Result<ZmqMonitor> open(ZmqContext& context, ZmqSocket& watched);
  ZmqMonitor(ZmqMonitor&& other) noexcept
      : watched_(std::exchange(other.watched_, nullptr)), pair_(std::move(other.pair_)) {}
  ZmqMonitor& operator=(ZmqMonitor&& other) noexcept;
  ~ZmqMonitor() { close(); }
  void close();
  std::optional<ZmqConnectionEvent> next();  // nullopt: nothing more
  ZmqSocket& socket() { return pair_; }

 private:
  void* watched_ = nullptr;
  ZmqSocket pair_;
};

// Many sockets and file descriptors, one wait.
class ZmqPoller {
 public:
  ZmqPoller();
  ~ZmqPoller();
  void clear();
  void add(const ZmqSocket& socket);  // to read; none where it is closed
  void add(int fd, bool to_write);
  void wait(std::chrono::milliseconds timeout);  // until any is ready; returns early on signals

 private:
  struct Items;
  std::unique_ptr<Items> items_;
};

// "4.3.4"; and whether libzmq was built with CURVE.
std::string zmq_version_text();
bool zmq_has_curve();

}  // namespace shoal
