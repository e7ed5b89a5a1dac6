#pragma once

// The insides of SimWorld, shared by sim_world.cpp (time, links, faults) and sim_network.cpp (what one
// process calls).

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "transport/limits.h"
#include "transport/sim_network.h"
#include "transport/wire.h"

namespace shoal {

class SimProcess;

struct SimConnection {
  SimProcess* client = nullptr;  // connected
  SimProcess* server = nullptr;  // listens
  Lane lane{};
  DeviceId server_as{};  // how the client knows the server
  DeviceId client_as{};  // how the server knows the client
  bool open = true;
  bool greeted = false;  // the server has read a frame of it
  struct Direction {
    Time last_arrival{};
    int num_unread = 0;                                      // sent, not yet read: the queue that fills
    std::deque<std::shared_ptr<std::vector<Payload>>> held;  // while the link is cut
  };
  Direction up;    // client -> server
  Direction down;  // server -> client

  SimProcess& receiver(bool upwards) const { return upwards ? *server : *client; }
  SimProcess& sender(bool upwards) const { return upwards ? *client : *server; }
  Direction& direction(bool upwards) { return upwards ? up : down; }
};
using SimConnectionPtr = std::shared_ptr<SimConnection>;

// One process's Network.
class SimProcess final : public Network {
 public:
  SimProcess(SimWorld::State& world, DeviceId host, std::string public_key)
      : world_(world), host_(host), key_(std::move(public_key)) {}

  Status admit(DeviceId device, const std::string& public_key) override;
  void revoke(DeviceId device) override;
  Status connect(DeviceId device, Lane lane, const std::string& endpoint,
                 const std::string& public_key) override;
  void disconnect(DeviceId device, Lane lane) override;
  Status send(DeviceId to, Lane lane, Message message) override;
  Status reply_join(std::uint64_t ticket, JoinReply reply) override;
  void wait(Duration timeout, std::vector<NetworkEvent>& events) override;
  void wake() override { tell(Woken{}); }
  std::uint64_t rejected_frames() const override { return rejected_; }

  DeviceId host() const { return host_; }
  const std::string& key() const { return key_; }
  bool has_unread() const { return !unread_.empty(); }

  // Called by the world.
  void tell(NetworkEvent event) { unread_.push_back({std::move(event), nullptr, false, nullptr}); }
  void receive(SimConnectionPtr connection, bool upwards, std::shared_ptr<std::vector<Payload>> frames) {
    unread_.push_back({Woken{}, std::move(connection), upwards, std::move(frames)});
  }
  void connection_lost(const SimConnectionPtr& connection, const std::string& reason);

  bool dead = false;
  bool frozen = false;

 private:
  using Key = std::pair<DeviceId, Lane>;
  struct Dial {
    std::string endpoint;
    std::string server_key;
    std::uint64_t generation = 0;
    Duration backoff = kReconnectMin;
    bool told_failure = false;
    bool told_key_refusal = false;
    SimConnectionPtr connection;
  };
  struct Probe {  // on its way to find out whether a lost peer is dead
    std::uint64_t number = 0;
    std::string reason;
  };
  struct Unread {  // frames, or if there are none an event
    NetworkEvent event;
    SimConnectionPtr connection;
    bool upwards = false;
    std::shared_ptr<std::vector<Payload>> frames;
  };

  void dial_after(Key key, Duration delay);
  void try_dial(Key key);
  void finish_dial(Key key);
  void dial_failed(Key key, bool refused, const char* reason, bool key_refused = false);
  std::optional<DeviceId> admitted_as(const SimProcess& client, Lane lane) const;
  SimConnectionPtr route(DeviceId to, Lane lane, const Message& message) const;
  void read(Unread& unread, std::vector<NetworkEvent>& events);
  void read_join(const SimConnectionPtr& connection, Message message, std::vector<NetworkEvent>& events);
  bool greet(const SimConnectionPtr& connection, DeviceId from, std::vector<NetworkEvent>& events);
  void probe_and_tell_down(Key key, std::string reason);
  std::optional<PeerDown> end_probe(Key key);
  const Dial* find_dial(Key key) const;

  SimWorld::State& world_;
  DeviceId host_;
  std::string key_;
  std::map<DeviceId, std::string> admitted_;
  std::map<Key, Dial> dials_;
  std::map<Key, SimConnectionPtr> inbound_;
  std::map<std::uint64_t, SimConnectionPtr> tickets_;
  std::map<Key, Probe> probes_;
  std::set<Key> muted_;
  std::deque<Unread> unread_;
  std::uint64_t next_ticket_ = 1;
  std::uint64_t next_generation_ = 1;
  std::uint64_t rejected_ = 0;
  Encoder encoder_;
  Decoder decoder_;
};

struct SimWorld::State {
  struct Host {
    std::string name;
    std::string key;
    std::uint32_t num_starts = 0;
    SimProcess* process = nullptr;
  };
  struct Link {
    std::optional<SimLink> own;
    SimFaults faults;
    bool cut = false;
    std::uint64_t cuts = 0;
    Time busy_until{};
    SimLinkUse use;
  };
  using LinkKey = std::pair<DeviceId, DeviceId>;

  State(std::uint64_t seed, FakeClock& the_clock) : clock(the_clock), random_state(seed) {}

  void at(Time time, std::function<void()> what) {
    events.emplace(std::pair(time, next_event++), std::move(what));
  }
  void after(Duration delay, std::function<void()> what) { at(clock.now() + delay, std::move(what)); }

  double random();  // [0, 1)
  Link& link(DeviceId from, DeviceId to) { return links[{from, to}]; }
  const SimLink& behaviour(const Link& link) const { return link.own ? *link.own : every_link; }
  Duration delay(DeviceId from, DeviceId to);  // latency and jitter
  bool is_cut(DeviceId a, DeviceId b) { return link(a, b).cut || link(b, a).cut; }
  SimProcess* listener(const std::string& endpoint) const;  // nullptr: nothing listens there
  std::string endpoint_of(const Host& host, DeviceId id, Lane lane) const;

  void transmit(const SimConnectionPtr& connection, bool upwards, std::vector<Payload> frames);
  void send_over(const SimConnectionPtr& connection, bool upwards,
                 std::shared_ptr<std::vector<Payload>> frames);
  void arrive(const SimConnectionPtr& connection, bool upwards,
              const std::shared_ptr<std::vector<Payload>>& frames);
  void release_held(DeviceId from, DeviceId to);
  void close(const SimConnectionPtr& connection, const SimProcess& by, const char* reason);
  void cut_link(DeviceId from, DeviceId to);
  void break_connections(DeviceId a, DeviceId b);
  void forget_closed_connections();

  FakeClock& clock;
  std::uint64_t random_state;
  SimLink every_link;
  std::map<DeviceId, Host> hosts;
  std::vector<std::unique_ptr<SimProcess>> processes;
  std::map<LinkKey, Link> links;
  std::vector<SimConnectionPtr> connections;
  bool some_closed = false;  // since closed ones were last forgotten
  std::map<std::pair<Time, std::uint64_t>, std::function<void()>> events;
  std::uint64_t next_event = 0;
  std::uint64_t num_delivered = 0;
  std::uint64_t bytes_delivered = 0;
};

}  // namespace shoal
