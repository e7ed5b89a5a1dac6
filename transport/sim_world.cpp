#include <algorithm>
#include <cmath>

#include "transport/sim_state.h"
#include "transport/z85.h"

namespace shoal {
namespace {

constexpr double kSegmentBytes = 1448;
constexpr Duration kLeastRetransmit = std::chrono::milliseconds(200);  // Linux's TCP_RTO_MIN
constexpr double kReorderLatencies = 10;

std::uint64_t split_mix(std::uint64_t& state) {  // Steele, Lea and Flood 2014 (SplitMix64)
  std::uint64_t z = state += 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

std::string make_key(DeviceId host) {
  std::uint64_t state = 0x51A0A1u + raw(host);
  std::array<std::uint8_t, 32> bytes{};
  for (std::uint8_t& byte : bytes) byte = static_cast<std::uint8_t>(split_mix(state));
  return z85_encode(bytes);
}

std::size_t size_of(const std::vector<Payload>& frames) {
  std::size_t size = 0;
  for (const Payload& frame : frames) size += frame.size();
  return size;
}

std::shared_ptr<std::vector<Payload>> copy_of(const std::vector<Payload>& frames) {
  auto copy = std::make_shared<std::vector<Payload>>();
  for (const Payload& frame : frames) copy->push_back(Payload::copy_of(frame.bytes()));
  return copy;
}

void flip_bit(std::vector<Payload>& frames, double where) {
  auto bit = static_cast<std::size_t>(where * 8 * static_cast<double>(size_of(frames)));
  for (Payload& frame : frames) {
    if (bit >= frame.size() * 8) {
      bit -= frame.size() * 8;
      continue;
    }
    std::vector<std::byte> bytes(frame.bytes().begin(), frame.bytes().end());
    bytes[bit / 8] ^= static_cast<std::byte>(1 << (bit % 8));
    frame = Payload::owning(std::move(bytes));
    return;
  }
}

}  // namespace

// ---- SimWorld::State: time, links, connections ----------------------------------------------

double SimWorld::State::random() { return static_cast<double>(split_mix(random_state) >> 11) * 0x1p-53; }

Duration SimWorld::State::delay(DeviceId from, DeviceId to) {
  const SimLink& how = behaviour(link(from, to));
  return how.latency + from_seconds(seconds(how.jitter) * random());
}

std::string SimWorld::State::endpoint_of(const Host& host, DeviceId id, Lane lane) const {
  const std::uint32_t n = raw(id);
  const std::uint32_t port = id == kHub
                                 ? 7171 + static_cast<std::uint32_t>(lane)
                                 : 30000 + 4 * (host.num_starts % 8000) + static_cast<std::uint32_t>(lane);
  return "tcp://10.77." + std::to_string(n / 256) + "." + std::to_string(n % 256) + ":" +
         std::to_string(port);
}

SimProcess* SimWorld::State::listener(const std::string& endpoint) const {
  for (const auto& [id, host] : hosts) {
    if (!host.process || host.process->dead) continue;
    for (Lane lane : {Lane::Join, Lane::Control, Lane::Data, Lane::Bulk}) {
      const bool listens = id == kHub || lane == Lane::Data;
      if (listens && endpoint_of(host, id, lane) == endpoint) return host.process;
    }
  }
  return nullptr;
}

// What TCP-like transport never does happens here, before the wire.
void SimWorld::State::transmit(const SimConnectionPtr& connection, bool upwards, std::vector<Payload> sent) {
  auto frames = std::make_shared<std::vector<Payload>>(std::move(sent));
  const SimFaults& faults =
      link(connection->sender(upwards).host(), connection->receiver(upwards).host()).faults;
  if (connection->lane == Lane::Data && faults.lose > 0 && random() < faults.lose) return;
  ++connection->direction(upwards).num_unread;
  if (connection->lane != Lane::Data) return send_over(connection, upwards, std::move(frames));
  if (faults.corrupt > 0 && random() < faults.corrupt) flip_bit(*frames, random());
  if (faults.duplicate > 0 && random() < faults.duplicate) {
    ++connection->direction(upwards).num_unread;
    send_over(connection, upwards, copy_of(*frames));
  }
  if (faults.reorder > 0 && random() < faults.reorder) {
    const Duration latency =
        behaviour(link(connection->sender(upwards).host(), connection->receiver(upwards).host())).latency;
    const Duration late = from_seconds(seconds(latency) * kReorderLatencies * random());
    after(latency + late, [=, this] { arrive(connection, upwards, frames); });
    return;
  }
  send_over(connection, upwards, std::move(frames));
}

void SimWorld::State::send_over(const SimConnectionPtr& connection, bool upwards,
                                std::shared_ptr<std::vector<Payload>> frames) {
  const DeviceId from = connection->sender(upwards).host();
  const DeviceId to = connection->receiver(upwards).host();
  Link& wire = link(from, to);
  SimConnection::Direction& direction = connection->direction(upwards);
  if (wire.cut || !direction.held.empty()) {
    direction.held.push_back(std::move(frames));
    return;
  }
  const SimLink& how = behaviour(wire);
  const auto bytes = static_cast<double>(size_of(*frames));
  const Duration taken = from_seconds(bytes / how.bytes_per_second);
  wire.busy_until = std::max(wire.busy_until, clock.now()) + taken;
  wire.use.bytes += static_cast<std::uint64_t>(bytes);
  wire.use.busy += taken;
  Time arrival = wire.busy_until + delay(from, to);
  if (how.loss > 0) {
    const double any_lost = 1 - std::pow(1 - how.loss, std::ceil(bytes / kSegmentBytes));
    Duration pause = std::max<Duration>(kLeastRetransmit, 4 * how.latency);
    for (bool lost = random() < any_lost; lost; lost = random() < how.loss) {
      arrival += pause;
      pause *= 2;
    }
  }
  direction.last_arrival = arrival = std::max(arrival, direction.last_arrival);  // in order
  at(arrival, [=, this] { arrive(connection, upwards, frames); });
}

void SimWorld::State::arrive(const SimConnectionPtr& connection, bool upwards,
                             const std::shared_ptr<std::vector<Payload>>& frames) {
  SimProcess& receiver = connection->receiver(upwards);
  if (!connection->open || receiver.dead) return;
  SimConnection::Direction& direction = connection->direction(upwards);
  if (link(connection->sender(upwards).host(), receiver.host()).cut || !direction.held.empty()) {
    direction.held.push_back(frames);
    return;
  }
  ++num_delivered;
  bytes_delivered += size_of(*frames);
  receiver.receive(connection, upwards, frames);
}

// A healed link: what was held is sent again, in order.
void SimWorld::State::release_held(DeviceId from, DeviceId to) {
  if (link(from, to).cut) return;
  for (const SimConnectionPtr& connection : std::vector(connections)) {
    for (bool upwards : {true, false}) {
      if (connection->sender(upwards).host() != from || connection->receiver(upwards).host() != to) continue;
      std::deque<std::shared_ptr<std::vector<Payload>>> held = std::move(connection->direction(upwards).held);
      connection->direction(upwards).held.clear();
      if (!connection->open) continue;
      for (auto& frames : held) send_over(connection, upwards, std::move(frames));
    }
  }
}

// One end closes; the other learns of it when the news gets there, behind everything already sent.
void SimWorld::State::close(const SimConnectionPtr& connection, const SimProcess& by, const char* reason) {
  if (!connection->open) return;
  const bool upwards = &by == connection->client;
  SimProcess* other = &connection->receiver(upwards);
  if (is_cut(by.host(), other->host())) {  // no news gets through
    return after(kLeastRetransmit, [=, this, &by] { close(connection, by, reason); });
  }
  const Time arrival =
      std::max(clock.now() + delay(by.host(), other->host()), connection->direction(upwards).last_arrival);
  at(arrival, [=, this, text = std::string(reason)] {
    if (!connection->open) return;
    connection->open = false;
    some_closed = true;
    if (!other->dead) other->connection_lost(connection, text);
  });
}

void SimWorld::State::cut_link(DeviceId from, DeviceId to) {
  Link& wire = link(from, to);
  if (wire.cut) return;
  wire.cut = true;
  const std::uint64_t this_cut = ++wire.cuts;
  after(kTcpTimeout, [=, this] {
    const Link& now = link(from, to);
    if (now.cut && now.cuts == this_cut) break_connections(from, to);
  });
}

void SimWorld::State::break_connections(DeviceId a, DeviceId b) {
  for (const SimConnectionPtr& connection : std::vector(connections)) {
    const std::pair ends(connection->client->host(), connection->server->host());
    if (!connection->open || (ends != std::pair(a, b) && ends != std::pair(b, a))) continue;
    connection->open = false;
    some_closed = true;
    for (SimProcess* end : {connection->client, connection->server}) {
      if (!end->dead) end->connection_lost(connection, "no answer from its host");
    }
  }
}

void SimWorld::State::forget_closed_connections() {
  if (!std::exchange(some_closed, false)) return;
  std::erase_if(connections, [](const SimConnectionPtr& connection) { return !connection->open; });
}

// ---- SimWorld -------------------------------------------------------------------------------

SimWorld::SimWorld(std::uint64_t seed, FakeClock& clock) : state_(std::make_unique<State>(seed, clock)) {}
SimWorld::~SimWorld() = default;

Network& SimWorld::add_host(DeviceId id, const std::string& name) {
  State::Host& host = state_->hosts[id];
  SHOAL_CHECK(!host.process || host.process->dead);
  host.name = name;
  host.key = make_key(id);
  ++host.num_starts;
  state_->processes.push_back(std::make_unique<SimProcess>(*state_, id, host.key));
  host.process = state_->processes.back().get();
  return *host.process;
}

const std::string& SimWorld::public_key_of(DeviceId host) const { return state_->hosts.at(host).key; }
std::string SimWorld::endpoint_of(DeviceId host, Lane lane) const {
  return state_->endpoint_of(state_->hosts.at(host), host, lane);
}

void SimWorld::set_link(DeviceId from, DeviceId to, SimLink link) { state_->link(from, to).own = link; }
void SimWorld::set_every_link(SimLink link) { state_->every_link = link; }
void SimWorld::set_faults(DeviceId from, DeviceId to, SimFaults faults) {
  state_->link(from, to).faults = faults;
}

void SimWorld::cut_one_way(DeviceId from, DeviceId to) { state_->cut_link(from, to); }
void SimWorld::cut(DeviceId a, DeviceId b) {
  state_->cut_link(a, b);
  state_->cut_link(b, a);
}

void SimWorld::heal(DeviceId a, DeviceId b) {
  for (const auto& [from, to] : {std::pair(a, b), std::pair(b, a)}) {
    State::Link& link = state_->link(from, to);
    if (!link.cut) continue;
    link.cut = false;
    // The sender notices at its next retransmission.
    State* state = state_.get();
    state_->after(from_seconds(seconds(kLeastRetransmit) * state_->random()),
                  [state, from = from, to = to] { state->release_held(from, to); });
  }
}

void SimWorld::unplug(DeviceId host) {
  for (const auto& [other, unused] : state_->hosts) {
    if (other != host) cut(host, other);
  }
}
void SimWorld::plug_in(DeviceId host) {
  for (const auto& [other, unused] : state_->hosts) {
    if (other != host) heal(host, other);
  }
}

void SimWorld::kill(DeviceId host) {
  SimProcess* process = state_->hosts.at(host).process;
  if (process->dead) return;
  process->dead = true;
  for (const SimConnectionPtr& connection : std::vector(state_->connections)) {
    if (connection->client == process || connection->server == process)
      state_->close(connection, *process, "the connection broke");
  }
}

void SimWorld::freeze(DeviceId host) { state_->hosts.at(host).process->frozen = true; }
void SimWorld::thaw(DeviceId host) { state_->hosts.at(host).process->frozen = false; }
bool SimWorld::is_alive(DeviceId host) const { return !state_->hosts.at(host).process->dead; }
bool SimWorld::is_frozen(DeviceId host) const { return state_->hosts.at(host).process->frozen; }
bool SimWorld::has_unread(DeviceId host) const {
  const SimProcess& process = *state_->hosts.at(host).process;
  return !process.dead && !process.frozen && process.has_unread();
}

std::optional<Time> SimWorld::next_event_time() const {
  for (const auto& [id, host] : state_->hosts) {
    if (!host.process->dead && !host.process->frozen && host.process->has_unread())
      return state_->clock.now();
  }
  if (state_->events.empty()) return std::nullopt;
  return std::max(state_->clock.now(), state_->events.begin()->first.first);
}

void SimWorld::advance_to(Time time) {
  while (!state_->events.empty() && state_->events.begin()->first.first <= time) {
    auto event = state_->events.extract(state_->events.begin());
    state_->clock.advance_to(std::max(state_->clock.now(), event.key().first));
    event.mapped()();
  }
  state_->clock.advance_to(std::max(state_->clock.now(), time));
  state_->forget_closed_connections();
}

std::uint64_t SimWorld::num_delivered() const { return state_->num_delivered; }
std::uint64_t SimWorld::bytes_delivered() const { return state_->bytes_delivered; }
SimLinkUse SimWorld::use_of(DeviceId from, DeviceId to) const {
  const auto found = state_->links.find({from, to});
  return found == state_->links.end() ? SimLinkUse{} : found->second.use;
}

}  // namespace shoal
