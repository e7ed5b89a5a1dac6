#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "base/ids.h"
#include "transport/network.h"

namespace shoal {

// How one directed link behaves. TCP loses nothing: a lost segment is a pause until it is sent again.
struct SimLink {
  Duration latency = std::chrono::microseconds(200);  // one way
  Duration jitter = Duration::zero();                 // added, uniform in [0, jitter]
  double bytes_per_second =
      125e6;        // messages queue for the wire, all lanes together, first come first served
  double loss = 0;  // probability per segment of 1,448 bytes
};

// What went over a directed link so far.
struct SimLinkUse {
  std::uint64_t bytes = 0;
  Duration busy = Duration::zero();  // the wire was taken
};

// What happens to data-lane messages of a directed link, as no TCP would do it: probabilities per message.
// Loss is what a full queue, or a connection that breaks and is made anew, comes to.
struct SimFaults {
  double duplicate = 0;
  double reorder = 0;  // delayed by up to ten latencies, overtaken meanwhile
  double corrupt = 0;  // one bit flipped
  double lose = 0;
};

// Many hosts in one process, from one seed, on a clock that only advance_to() moves. The same seed and the
// same calls give the same events in the same order. Messages go through the encoder and the decoder;
// connecting, refusing, breaking and probing follow ZmqNetwork. Single-threaded. Typical loop:
//   while (auto t = world.next_event_time()) { world.advance_to(*t); for (each host) { host.wait(...);
//   on_event(...); } }
// with the hosts' own timers mixed in by the caller.
class SimWorld {
 public:
  SimWorld(std::uint64_t seed, FakeClock& clock);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  // A host's process starts. Again with the id of a killed host: a new process with the same key (a worker's
  // inbox moves to another port, the hub's ports stay). kHub is the hub. The Network lives as long as the
  // world; a killed process's does nothing any more.
  Network& add_host(DeviceId host, const std::string& name);

  const std::string& public_key_of(DeviceId host) const;
  std::string endpoint_of(DeviceId host, Lane lane) const;  // of its present process

  void set_link(DeviceId from, DeviceId to, SimLink link);
  void set_every_link(SimLink link);  // those that have none of their own
  void set_faults(DeviceId from, DeviceId to, SimFaults faults);

  // While a link is cut its frames wait; after kTcpTimeout the connections over it break at both ends (in
  // either direction: no acknowledgement returns). Healed earlier, everything held arrives late.
  void cut(DeviceId a, DeviceId b);
  void cut_one_way(DeviceId from, DeviceId to);
  void heal(DeviceId a, DeviceId b);
  void unplug(DeviceId host);  // cuts every link of the host: power or cable lost
  void plug_in(DeviceId host);

  void kill(DeviceId host);    // kill -9: its connections drop, connecting to it is refused
  void freeze(DeviceId host);  // SIGSTOP: silent, connections stay
  void thaw(DeviceId host);
  bool is_alive(DeviceId host) const;
  bool is_frozen(DeviceId host) const;
  bool has_unread(DeviceId host) const;  // events that a running, unfrozen host has not read

  // When something happens next; now, if a running host has events to read. nullopt: nothing ever will by
  // itself.
  std::optional<Time> next_event_time() const;

  // Moves the clock to `time` (not back) and lets everything up to then happen, in order.
  void advance_to(Time time);

  std::uint64_t num_delivered() const;  // messages
  std::uint64_t bytes_delivered() const;
  SimLinkUse use_of(DeviceId from, DeviceId to) const;

  struct State;

 private:
  std::unique_ptr<State> state_;
};

}  // namespace shoal
