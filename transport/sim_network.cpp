#include "transport/sim_network.h"

#include "transport/endpoint.h"
#include "transport/sim_state.h"
#include "transport/z85.h"

namespace shoal {
namespace {

constexpr Duration kSynRetry = std::chrono::seconds(1);  // first retransmission of a connection attempt

}  // namespace

// ---- Keys -----------------------------------------------------------------------------------

Status SimProcess::admit(DeviceId device, const std::string& public_key) {
  if (!is_z85_key(public_key))
    return fail(ErrorCode::InvalidArgument, "admitting a device: its public key is no key");
  for (const auto& [other, key] : admitted_) {
    if (other != device && key == public_key) {
      return fail(ErrorCode::InvalidArgument,
                  "this key is already admitted as device " + std::to_string(raw(other)));
    }
  }
  const auto known = admitted_.find(device);
  if (known != admitted_.end() && known->second != public_key) revoke(device);
  admitted_[device] = public_key;
  std::erase_if(muted_, [&](const Key& key) { return key.first == device; });
  return {};
}

void SimProcess::revoke(DeviceId device) {
  admitted_.erase(device);
  for (Lane lane : {Lane::Control, Lane::Data, Lane::Bulk}) {
    if (lane != Lane::Data) probes_.erase({device, lane});
    const auto route = inbound_.find({device, lane});
    if (route == inbound_.end()) continue;
    world_.close(route->second, *this, "it cut the connection");
    inbound_.erase(route);
  }
}

std::optional<DeviceId> SimProcess::admitted_as(const SimProcess& client, Lane lane) const {
  if (lane == Lane::Join) return DeviceId{};
  for (const auto& [device, key] : admitted_) {
    if (key == client.key()) return device;
  }
  return std::nullopt;
}

// ---- Connecting -----------------------------------------------------------------------------

Status SimProcess::connect(DeviceId device, Lane lane, const std::string& endpoint,
                           const std::string& public_key) {
  const Result<Endpoint> parsed = parse_endpoint(endpoint);
  if (!parsed) return fail(parsed.error());
  if (!is_z85_key(public_key))
    return fail(ErrorCode::InvalidArgument, "connecting to " + endpoint + ": its public key is no key");
  const Key key(device, lane);
  const auto known = dials_.find(key);
  if (known != dials_.end()) {
    if (known->second.endpoint == endpoint && known->second.server_key == public_key) return {};
    disconnect(device, lane);
  }
  muted_.erase(key);
  Dial& dial = dials_[key];
  dial.endpoint = endpoint;
  dial.server_key = public_key;
  dial_after(key, Duration::zero());
  return {};
}

void SimProcess::disconnect(DeviceId device, Lane lane) {
  const auto dial = dials_.find({device, lane});
  if (dial == dials_.end()) return;
  if (dial->second.connection) world_.close(dial->second.connection, *this, "it closed the connection");
  dials_.erase(dial);
  probes_.erase({device, lane});
}

const SimProcess::Dial* SimProcess::find_dial(Key key) const {
  const auto dial = dials_.find(key);
  return dial == dials_.end() ? nullptr : &dial->second;
}

void SimProcess::dial_after(Key key, Duration delay) {
  const std::uint64_t generation = dials_.at(key).generation = next_generation_++;
  world_.after(delay, [this, key, generation] {
    const Dial* dial = find_dial(key);
    if (!dead && dial && dial->generation == generation) try_dial(key);
  });
}

// The three-way handshake goes through, or does not.
void SimProcess::try_dial(Key key) {
  Dial& dial = dials_.at(key);
  SimProcess* server = world_.listener(dial.endpoint);
  const auto address = [](const std::string& endpoint) { return endpoint.substr(0, endpoint.rfind(':')); };
  DeviceId there = host_;
  for (const auto& [id, host] : world_.hosts) {
    if (address(world_.endpoint_of(host, id, Lane::Data)) == address(dial.endpoint)) there = id;
  }
  if (frozen || world_.is_cut(host_, there)) return dial_after(key, kSynRetry);
  const Duration round_trip = world_.delay(host_, there) + world_.delay(there, host_);
  const std::uint64_t generation = dial.generation;
  const bool refused = server == nullptr;
  world_.after(refused ? round_trip : 3 * round_trip, [this, key, generation, refused] {
    const Dial* now = find_dial(key);
    if (dead || !now || now->generation != generation) return;
    if (refused) return dial_failed(key, true, "nothing listens there");
    finish_dial(key);
  });
}

// Keys are exchanged, or refused.
void SimProcess::finish_dial(Key key) {
  Dial& dial = dials_.at(key);
  SimProcess* server = world_.listener(dial.endpoint);
  if (!server) return dial_failed(key, true, "nothing listens there");
  if (server->frozen || frozen || world_.is_cut(host_, server->host()))
    return dial_after(key, kHandshakeTimeout);
  if (server->key() != dial.server_key) return dial_failed(key, false, "its key is not the expected one");
  const std::optional<DeviceId> as = server->admitted_as(*this, key.second);
  if (!as) return dial_failed(key, false, "it refused our key", true);
  auto connection = std::make_shared<SimConnection>();
  connection->client = this;
  connection->server = server;
  connection->lane = key.second;
  connection->server_as = key.first;
  connection->client_as = *as;
  world_.connections.push_back(connection);
  dial.connection = std::move(connection);
  dial.backoff = kReconnectMin;
  dial.told_failure = true;
  dial.told_key_refusal = false;
  if (std::optional<PeerDown> down = end_probe(key)) tell(*std::move(down));
  tell(PeerUp{key.first, key.second});
}

void SimProcess::dial_failed(Key key, bool refused, const char* reason, bool key_refused) {
  Dial& dial = dials_.at(key);
  const bool is_news = key_refused && !std::exchange(dial.told_key_refusal, true);
  if (!dial.told_failure || is_news) tell(PeerDown{key.first, key.second, refused, reason, key_refused});
  dial.told_failure = true;
  dial_after(key, dial.backoff);
  dial.backoff = std::min<Duration>(dial.backoff * 2, kReconnectMax);
}

void SimProcess::connection_lost(const SimConnectionPtr& connection, const std::string& reason) {
  if (connection->client == this) {
    const Key key(connection->server_as, connection->lane);
    const auto dial = dials_.find(key);
    if (dial == dials_.end() || dial->second.connection != connection) return;
    dial->second.connection = nullptr;
    probe_and_tell_down(key, reason);
    dial_after(key, kReconnectMin);
    return;
  }
  const Key key(connection->client_as, connection->lane);
  const auto route = inbound_.find(key);
  if (route == inbound_.end() || route->second != connection) return;
  inbound_.erase(route);
  if (connection->greeted && (key.second == Lane::Control || key.second == Lane::Bulk))
    probe_and_tell_down(key, reason);
}

// Asks the peer's port: what we connected to, else its inbox.
void SimProcess::probe_and_tell_down(Key key, std::string reason) {
  const Dial* dial = find_dial(key);
  if (!dial) dial = find_dial({key.first, Lane::Data});
  if (!dial) return tell(PeerDown{key.first, key.second, false, std::move(reason)});
  const DeviceId there = key.first;  // near enough for the time it takes
  const bool silent = world_.hosts.contains(there) && world_.is_cut(host_, there);
  const Duration takes =
      silent ? Duration(kProbeTimeout) : world_.delay(host_, there) + world_.delay(there, host_);
  const std::uint64_t probe = next_generation_++;
  probes_[key] = {probe, std::move(reason)};
  world_.after(takes, [this, key, silent, probe, endpoint = dial->endpoint] {
    const auto pending = probes_.find(key);
    if (dead || pending == probes_.end() || pending->second.number != probe) return;
    const bool refused = !silent && world_.listener(endpoint) == nullptr;
    tell(PeerDown{key.first, key.second, refused, pending->second.reason});
    probes_.erase(pending);
  });
}

// A connection is there again before its loss was told: nullopt, or the PeerDown that comes first.
std::optional<PeerDown> SimProcess::end_probe(Key key) {
  const auto pending = probes_.find(key);
  if (pending == probes_.end()) return std::nullopt;
  PeerDown down{key.first, key.second, false, std::move(pending->second.reason)};
  probes_.erase(pending);
  return down;
}

// ---- Sending --------------------------------------------------------------------------------

SimConnectionPtr SimProcess::route(DeviceId to, Lane lane, const Message& message) const {
  const auto inbound = inbound_.find({to, lane});
  const bool has_inbound = inbound != inbound_.end();
  if (has_inbound && std::holds_alternative<Pong>(message)) return inbound->second;
  if (const Dial* dial = find_dial({to, lane})) return dial->connection;
  return has_inbound && lane != Lane::Data ? inbound->second : nullptr;
}

Status SimProcess::send(DeviceId to, Lane lane, Message message) {
  if (dead) return fail(ErrorCode::Unavailable, "this process is dead");
  if (lane_of(message) != lane)
    return fail(ErrorCode::InvalidArgument, std::string(name_of(message)) + " does not travel on this lane");
  const SimConnectionPtr connection = route(to, lane, message);
  if (!connection || !connection->open)
    return fail(ErrorCode::Unavailable, "no connection to device " + std::to_string(raw(to)));
  const bool upwards = connection->client == this;
  EncodedMessage encoded;
  if (Status ok = encoder_.encode(std::move(message), encoded); !ok) return ok;
  if (connection->direction(upwards).num_unread >= kSendHighWater) {
    return fail(ErrorCode::Unavailable, "the queue to device " + std::to_string(raw(to)) + " is full");
  }
  world_.transmit(connection, upwards, to_frames(std::move(encoded)));
  return {};
}

Status SimProcess::reply_join(std::uint64_t ticket, JoinReply reply) {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return fail(ErrorCode::Unavailable, "the joining worker is gone");
  const SimConnectionPtr connection = found->second;
  tickets_.erase(found);
  if (!connection->open) return fail(ErrorCode::Unavailable, "the joining worker is gone");
  EncodedMessage encoded;
  if (Status ok = encoder_.encode(std::move(reply), encoded); !ok) return ok;
  world_.transmit(connection, false, to_frames(std::move(encoded)));
  return {};
}

// ---- Reading --------------------------------------------------------------------------------

void SimProcess::wait(Duration, std::vector<NetworkEvent>& events) {
  if (dead || frozen) return;
  while (!unread_.empty()) {
    Unread unread = std::move(unread_.front());
    unread_.pop_front();
    if (unread.frames) {
      read(unread, events);
    } else {
      events.push_back(std::move(unread.event));
    }
  }
}

void SimProcess::read(Unread& unread, std::vector<NetworkEvent>& events) {
  const SimConnectionPtr& connection = unread.connection;
  --connection->direction(unread.upwards).num_unread;
  const DeviceId from = unread.upwards ? connection->client_as : connection->server_as;
  const Lane lane = connection->lane;
  if (unread.upwards && lane != Lane::Join && !greet(connection, from, events)) return;
  if (!unread.upwards) {
    const Dial* dial = find_dial({from, lane});
    if (!dial || dial->connection != connection) return;  // disconnected meanwhile
  }
  if (muted_.contains({from, lane})) {
    ++rejected_;
    return;
  }
  Result<Message> message = decoder_.decode(lane, *unread.frames);
  if (message && !may_receive(*message, host_ == kHub))
    message = fail(ErrorCode::Corrupt, "message: not for this side");
  if (!message) {
    ++rejected_;
    if (unread.upwards && lane == Lane::Join) return;  // the join key is everybody's
    muted_.insert({from, lane});
    events.emplace_back(Malformed{from, lane, message.error().message()});
    return;
  }
  if (unread.upwards && lane == Lane::Join) return read_join(connection, *std::move(message), events);
  events.emplace_back(Received{from, lane, *std::move(message)});
}

// The newest connection of a key is the one that counts. False: this is not it, or the key is revoked.
bool SimProcess::greet(const SimConnectionPtr& connection, DeviceId from, std::vector<NetworkEvent>& events) {
  const auto key = admitted_.find(from);
  if (key == admitted_.end() || key->second != connection->client->key()) return false;
  const Key route(from, connection->lane);
  const auto known = inbound_.find(route);
  if (connection->greeted) return known == inbound_.end() || known->second == connection;
  connection->greeted = true;
  const bool tells = connection->lane != Lane::Data;
  if (known != inbound_.end()) {
    world_.close(known->second, *this, "replaced by a newer connection");
    if (tells) events.emplace_back(PeerDown{from, connection->lane, false, "replaced by a newer connection"});
    inbound_.erase(known);
  }
  if (connection->open) inbound_[route] = connection;
  if (!tells) return true;
  if (std::optional<PeerDown> down = end_probe(route)) events.emplace_back(*std::move(down));
  events.emplace_back(PeerUp{from, connection->lane});
  if (!connection->open)
    probe_and_tell_down(route, "the connection broke");  // before its first frame was read
  return true;
}

void SimProcess::read_join(const SimConnectionPtr& connection, Message message,
                           std::vector<NetworkEvent>& events) {
  if (tickets_.size() >= kMaxOpenJoinTickets) tickets_.erase(tickets_.begin());
  tickets_[next_ticket_] = connection;
  events.emplace_back(JoinReceived{next_ticket_++, std::get<JoinRequest>(std::move(message))});
}

}  // namespace shoal
