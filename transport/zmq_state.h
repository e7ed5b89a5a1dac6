#pragma once

// The insides of ZmqNetwork, shared by zmq_network.cpp (the public calls and the one wait), zmq_listener.cpp
// (lanes we listen on) and zmq_dialer.cpp (connections we make).

#include <map>
#include <set>
#include <utility>
#include <vector>

#include "transport/limits.h"
#include "transport/prober.h"
#include "transport/wire.h"
#include "transport/zap.h"
#include "transport/zmq_network.h"
#include "transport/zmq_socket.h"

namespace shoal {

// Sends a message's frames; the routing id goes first where the socket is a ROUTER.
ZmqSocket::Sent send_frames(ZmqSocket& socket, const std::string* routing_id, EncodedMessage& encoded,
                            PayloadSlots& slots);

// Receives a message's frames into `frames` (used again). False: nothing there. Of one with more frames or
// bytes than any message has, only the first is kept and the rest dropped as it is read; `too_large` tells.
struct ReceivedFrames {
  std::vector<ZmqFrame> frames;
  bool too_large = false;
};
bool receive_frames(ZmqSocket& socket, ReceivedFrames& received);

void tell_down(std::vector<NetworkEvent>& events, DeviceId device, Lane lane, bool refused,
               std::string reason, bool key_refused = false);

// What both sides share: keys, codec, events.
struct ZmqShared {
  explicit ZmqShared(ZmqOptions the_options) : options(std::move(the_options)) {}

  bool is_hub() const { return options.role == ZmqOptions::Role::Hub; }

  // Decodes a message from `from`, unless it has been cut off; frames() are used up.
  void deliver(DeviceId from, Lane lane, ReceivedFrames& received, std::vector<NetworkEvent>& events);
  Result<Message> decode(Lane lane, ReceivedFrames& received);

  ZmqOptions options;
  SteadyClock clock;
  ZapDesk desk;
  Encoder encoder;
  Decoder decoder;
  EncodedMessage encoded;         // used again
  std::vector<Payload> payloads;  // used again
  PayloadSlots slots;             // outlives the context
  std::set<std::pair<DeviceId, Lane>> muted;
  std::uint64_t rejected = 0;
  Prober prober;
  ZmqContext context;
};

// One lane's ROUTER: who is connected to it, and the way back to them.
class ZmqListener {
 public:
  ZmqListener(ZmqShared& shared, Lane lane) : shared_(shared), lane_(lane) {}

  Status open(const std::string& host, std::uint16_t port);
  Lane lane() const { return lane_; }
  std::uint16_t port() const { return port_; }
  ZmqSocket& socket() { return router_; }
  ZmqMonitor& monitor() { return monitor_; }

  bool has_route(DeviceId to) const;
  ZmqSocket::Sent send(DeviceId to, EncodedMessage& encoded);
  Status reply_join(std::uint64_t ticket, EncodedMessage& encoded);
  void cut(DeviceId device, Time at);  // its connection, once `at` is reached
  void cut_due(Time now);
  std::optional<Time> next_cut() const;

  struct Lost {
    DeviceId device{};
  };
  void read_monitor(std::vector<Lost>& lost);  // connections that broke
  void read(std::vector<NetworkEvent>& events,
            std::vector<Lost>& lost);  // at most kMaxFramesPerWait messages

 private:
  // A TCP connection of ours, told apart from a later one with the same number by its two ends.
  struct Tcp {
    int fd = -1;
    std::string ends;
  };
  struct Route {
    std::uint64_t connection = 0;  // the ZAP desk's number
    std::string routing_id;
    Tcp tcp;
    bool is_open = false;
  };
  struct Cut {
    Tcp tcp;
    Time at{};
  };
  static std::string ends_of(int fd);
  bool greet(const ZapDesk::Identity& who, const ZmqFrame& routing_id, int fd,
             std::vector<NetworkEvent>& events, std::vector<Lost>& lost);
  void tell_up(DeviceId device, std::vector<NetworkEvent>& events, std::vector<Lost>& lost);
  void read_join(const ZmqFrame& routing_id, ReceivedFrames& received, std::vector<NetworkEvent>& events);
  bool tells() const { return lane_ == Lane::Control || lane_ == Lane::Bulk; }

  ZmqShared& shared_;
  Lane lane_;
  std::uint16_t port_ = 0;
  ZmqSocket router_;
  ZmqMonitor monitor_;
  std::map<DeviceId, Route> routes_;
  std::set<int> open_fds_;  // accepted, not yet ended
  std::vector<Cut> cuts_;
  std::map<std::uint64_t, std::string> tickets_;  // join lane: ticket -> routing id
  std::uint64_t next_ticket_ = 1;
  ReceivedFrames received_;
};

// One connection that we make, and make again.
class ZmqDialer {
 public:
  ZmqDialer(ZmqShared& shared, DeviceId device, Lane lane, std::string endpoint, std::string server_key)
      : shared_(shared),
        device_(device),
        lane_(lane),
        endpoint_(std::move(endpoint)),
        server_key_(std::move(server_key)) {}

  Status open();
  DeviceId device() const { return device_; }
  Lane lane() const { return lane_; }
  const std::string& endpoint() const { return endpoint_; }
  const std::string& server_key() const { return server_key_; }
  bool is_up() const { return is_up_; }
  ZmqSocket& socket() { return dealer_; }
  ZmqMonitor& monitor() { return monitor_; }

  ZmqSocket::Sent send(EncodedMessage& encoded) {
    return send_frames(dealer_, nullptr, encoded, shared_.slots);
  }
  void read_monitor(std::vector<NetworkEvent>& events);
  void read(std::vector<NetworkEvent>& events);
  Time next_time() const { return reopen_at_; }
  void advance(Time now);  // a new socket when its time has come

 private:
  void came_up(std::vector<NetworkEvent>& events);
  void went_down(ZmqConnectionEvent::Kind how, std::vector<NetworkEvent>& events);

  ZmqShared& shared_;
  DeviceId device_;
  Lane lane_;
  std::string endpoint_;
  std::string server_key_;
  ZmqSocket dealer_;
  ZmqMonitor monitor_;
  bool is_up_ = false;
  bool is_waiting_ = false;  // for reopen_at_, after a failure
  bool told_failure_ = false;
  bool told_key_refusal_ = false;
  Duration backoff_ = kReconnectMin;
  Time reopen_at_ = Time::max();
  ReceivedFrames received_;
};

struct ZmqNetwork::State : ZmqShared {
  using ZmqShared::ZmqShared;
  ~State();

  Status open();
  ZmqListener* listener(Lane lane);
  ZmqDialer* dialer(DeviceId device, Lane lane);
  void cut(DeviceId device);
  Status send_encoded(DeviceId to, Lane lane, bool is_pong);
  void lost(const std::vector<ZmqListener::Lost>& devices, Lane lane, std::vector<NetworkEvent>& events);
  void serve_zap();
  void poll(Time until);
  void read_everything(std::vector<NetworkEvent>& events);
  void keep_time(std::vector<NetworkEvent>& events);

  int wake_fd = -1;
  ZmqSocket zap;
  Time next_refusal_log{};  // refusals are counted, and logged once a second at most
  ZmqPoller poller;
  std::vector<std::unique_ptr<ZmqListener>> listeners;
  std::vector<std::unique_ptr<ZmqDialer>> dialers;
  std::vector<Prober::Answer> answers;      // used again
  std::vector<ZmqListener::Lost> lost_now;  // used again
};

}  // namespace shoal
