#include "transport/zmq_network.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "transport/z85.h"
#include "transport/zmq_state.h"

namespace shoal {
namespace {

constexpr const char* kZapEndpoint = "inproc://zeromq.zap.01";
constexpr std::size_t kMaxFrames = 2 + kMaxPayloadFrames;
constexpr std::size_t kMaxMessageBytes = kMaxControlBytes + kMaxOpensBytes + kMaxPayloadBytes;

Status check_keys(const ZmqOptions& options) {
  const auto is_pair = [](const KeyPair& keys) {
    return is_z85_key(keys.public_key) && is_z85_key(keys.secret_key);
  };
  if (!is_pair(options.keys))
    return fail(ErrorCode::InvalidArgument, "opening the network: the key pair is none");
  if (options.join_keys && !is_pair(*options.join_keys))
    return fail(ErrorCode::InvalidArgument, "opening the network: the join key pair is none");
  return {};
}

Status outcome(ZmqSocket::Sent sent, DeviceId to, Lane lane) {
  if (sent == ZmqSocket::Sent::Yes) return {};
  const char* what = sent == ZmqSocket::Sent::Full ? "the queue is full" : "no connection";
  return fail(ErrorCode::Unavailable,
              "device " + std::to_string(raw(to)) + ", " + name_of(lane) + " lane: " + what);
}

}  // namespace

// ---- Frames ---------------------------------------------------------------------------------

ZmqSocket::Sent send_frames(ZmqSocket& socket, const std::string* routing_id, EncodedMessage& encoded,
                            PayloadSlots& slots) {
  using Sent = ZmqSocket::Sent;
  if (routing_id) {
    const Bytes id = std::as_bytes(std::span(*routing_id));
    if (const Sent sent = socket.send(ZmqFrame::copy_of(id), true); sent != Sent::Yes) return sent;
  }
  std::size_t left = encoded.payload.size() + (encoded.opens.empty() ? 0 : 1);
  Sent sent = socket.send(ZmqFrame::copy_of(encoded.header), left > 0);
  if (sent == Sent::Yes && !encoded.opens.empty())
    sent = socket.send(ZmqFrame::copy_of(encoded.opens), --left > 0);
  for (Payload& part : encoded.payload) {
    if (sent == Sent::Yes) sent = socket.send(ZmqFrame::sharing(std::move(part), slots), --left > 0);
  }
  encoded.payload.clear();
  return sent;
}

bool receive_frames(ZmqSocket& socket, ReceivedFrames& received) {
  received.frames.clear();
  received.too_large = false;
  std::size_t bytes = 0;
  ZmqFrame frame;
  do {
    if (!socket.receive(frame)) return false;
    const bool more = frame.has_more();
    bytes += frame.bytes().size();
    if (received.frames.size() == kMaxFrames || bytes > kMaxMessageBytes) {
      received.too_large = true;
      received.frames.resize(std::min<std::size_t>(received.frames.size(), 1));
    }
    if (!received.too_large || received.frames.empty()) received.frames.push_back(std::move(frame));
    if (!more) return true;
  } while (true);
}

void tell_down(std::vector<NetworkEvent>& events, DeviceId device, Lane lane, bool refused,
               std::string reason, bool key_refused) {
  PeerDown down;
  down.key_refused = key_refused;
  down.device = device;
  down.lane = lane;
  down.refused = refused;
  down.reason = std::move(reason);
  events.emplace_back(std::move(down));
}

// ---- ZmqShared ------------------------------------------------------------------------------

Result<Message> ZmqShared::decode(Lane lane, ReceivedFrames& received) {
  if (received.too_large) return fail(ErrorCode::Corrupt, "message: too many frames, or too large");
  payloads.clear();
  for (ZmqFrame& frame : received.frames) payloads.push_back(ZmqFrame::into_payload(std::move(frame)));
  Result<Message> message = decoder.decode(lane, payloads);
  payloads.clear();
  if (message && !may_receive(*message, is_hub())) {
    return fail(ErrorCode::Corrupt, std::string(name_of(*message)) + ": not for this side");
  }
  return message;
}

void ZmqShared::deliver(DeviceId from, Lane lane, ReceivedFrames& received,
                        std::vector<NetworkEvent>& events) {
  if (!muted.empty() && muted.contains({from, lane})) {
    ++rejected;
    return;
  }
  Result<Message> message = decode(lane, received);
  if (message) {
    events.emplace_back(Received{from, lane, *std::move(message)});
    return;
  }
  ++rejected;
  muted.insert({from, lane});
  events.emplace_back(Malformed{from, lane, message.error().message()});
}

// ---- Opening and closing --------------------------------------------------------------------

Status ZmqNetwork::State::open() {
  wake_fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) return fail(ErrorCode::OutOfMemory, "opening the network: no file descriptor left");
  Result<ZmqSocket> rep = ZmqSocket::open(context, ZmqKind::Rep);  // before any socket that asks it
  if (!rep) return fail(rep.error());
  zap = *std::move(rep);
  if (Status bound = zap.bind(kZapEndpoint); !bound) return bound;
  if (is_hub() && options.join_keys) desk.admit_joiners(options.join_keys->public_key);
  const std::pair<Lane, std::uint16_t> wanted[] = {{Lane::Join, options.join_port},
                                                   {Lane::Control, options.control_port},
                                                   {Lane::Data, options.data_port},
                                                   {Lane::Bulk, options.bulk_port}};
  for (const auto& [lane, port] : wanted) {
    if (!is_hub() && lane != Lane::Data) continue;
    listeners.push_back(std::make_unique<ZmqListener>(*this, lane));
    if (Status opened = listeners.back()->open(options.host, port); !opened) return opened;
  }
  return {};
}

ZmqNetwork::State::~State() {
  // A Goodbye or Refused just sent still goes out.
  for (auto& dialer : dialers) {
    if (dialer->lane() == Lane::Control && dialer->socket()) dialer->socket().set_linger(kCloseLinger);
  }
  for (auto& listener : listeners) {
    if (listener->lane() != Lane::Data && listener->socket()) listener->socket().set_linger(kCloseLinger);
  }
  dialers.clear();
  listeners.clear();
  zap.close();
  if (wake_fd >= 0) ::close(wake_fd);
}

Result<std::unique_ptr<ZmqNetwork>> ZmqNetwork::open(ZmqOptions options) {
  if (!zmq_has_curve()) {
    return fail(ErrorCode::Unsupported,
                "libzmq " + zmq_version_text() + " was built without CURVE: install Debian's libzmq5");
  }
  if (Status ok = check_keys(options); !ok) return fail(ok.error());
  auto state = std::make_unique<State>(std::move(options));
  if (Status opened = state->open(); !opened) return fail(opened.error());
  return std::unique_ptr<ZmqNetwork>(new ZmqNetwork(std::move(state)));
}

ZmqNetwork::ZmqNetwork(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZmqNetwork::~ZmqNetwork() = default;

ZmqListener* ZmqNetwork::State::listener(Lane lane) {
  for (auto& one : listeners) {
    if (one->lane() == lane) return one.get();
  }
  return nullptr;
}

ZmqDialer* ZmqNetwork::State::dialer(DeviceId device, Lane lane) {
  for (auto& one : dialers) {
    if (one->device() == device && one->lane() == lane) return one.get();
  }
  return nullptr;
}

std::uint16_t ZmqNetwork::port(Lane lane) const {
  const ZmqListener* listener = state_->listener(lane);
  return listener ? listener->port() : 0;
}

// ---- Keys and connections -------------------------------------------------------------------

Status ZmqNetwork::admit(DeviceId device, const std::string& public_key) {
  const std::string* known = state_->desk.key_of(device);
  const bool has_another_key = known && *known != public_key;
  if (Status ok = state_->desk.admit(device, public_key); !ok) return ok;
  if (has_another_key) state_->cut(device);
  std::erase_if(state_->muted, [&](const auto& key) { return key.first == device; });
  return {};
}

void ZmqNetwork::revoke(DeviceId device) {
  state_->desk.revoke(device);  // from here on nothing it sends is read
  state_->cut(device);
}

void ZmqNetwork::State::cut(DeviceId device) {
  const Time at = clock.now() + kCutDelay;
  for (auto& listener : listeners) {
    listener->cut(device, at);
    Prober::Answer unwanted;
    if (listener->lane() != Lane::Data) prober.cancel(device, listener->lane(), unwanted);
  }
}

Status ZmqNetwork::connect(DeviceId device, Lane lane, const std::string& endpoint,
                           const std::string& public_key) {
  const Result<Endpoint> parsed = parse_endpoint(endpoint);
  if (!parsed) return fail(parsed.error());
  if (parsed->port == 0) return fail(ErrorCode::InvalidArgument, "connecting to " + endpoint + ": port 0");
  if (!is_z85_key(public_key))
    return fail(ErrorCode::InvalidArgument, "connecting to " + endpoint + ": its public key is no key");
  if (const ZmqDialer* known = state_->dialer(device, lane)) {
    if (known->endpoint() == endpoint && known->server_key() == public_key) return {};
    disconnect(device, lane);
  }
  state_->muted.erase({device, lane});
  auto dialer = std::make_unique<ZmqDialer>(*state_, device, lane, endpoint, public_key);
  if (Status opened = dialer->open(); !opened) return opened;
  state_->dialers.push_back(std::move(dialer));
  return {};
}

void ZmqNetwork::disconnect(DeviceId device, Lane lane) {
  if (!state_->dialer(device, lane)) return;
  Prober::Answer unwanted;
  state_->prober.cancel(device, lane, unwanted);
  std::erase_if(state_->dialers,
                [&](const auto& one) { return one->device() == device && one->lane() == lane; });
}

// ---- Sending --------------------------------------------------------------------------------

Status ZmqNetwork::State::send_encoded(DeviceId to, Lane lane, bool is_pong) {
  ZmqListener* inbound = listener(lane);
  const bool has_inbound = inbound && inbound->has_route(to);
  if (is_pong && has_inbound) return outcome(inbound->send(to, encoded), to, lane);
  if (ZmqDialer* outbound = dialer(to, lane)) {
    return outcome(outbound->is_up() ? outbound->send(encoded) : ZmqSocket::Sent::Unreachable, to, lane);
  }
  if (has_inbound && lane != Lane::Data) return outcome(inbound->send(to, encoded), to, lane);
  return outcome(ZmqSocket::Sent::Unreachable, to, lane);
}

Status ZmqNetwork::send(DeviceId to, Lane lane, Message message) {
  if (lane_of(message) != lane) {
    return fail(ErrorCode::InvalidArgument,
                std::string(name_of(message)) + " does not travel on the " + name_of(lane) + " lane");
  }
  const bool is_pong = std::holds_alternative<Pong>(message);
  if (Status ok = state_->encoder.encode(std::move(message), state_->encoded); !ok) return ok;
  Status sent = state_->send_encoded(to, lane, is_pong);
  state_->encoded.payload.clear();
  return sent;
}

Status ZmqNetwork::reply_join(std::uint64_t ticket, JoinReply reply) {
  ZmqListener* join = state_->listener(Lane::Join);
  if (!join) return fail(ErrorCode::Unavailable, "only the hub answers join requests");
  if (Status ok = state_->encoder.encode(std::move(reply), state_->encoded); !ok) return ok;
  return join->reply_join(ticket, state_->encoded);
}

// ---- Waiting --------------------------------------------------------------------------------

// ZAP (RFC 27): version, request id, domain, address, routing id, mechanism, credentials. One request at a
// time, as REP goes.
void ZmqNetwork::State::serve_zap() {
  ReceivedFrames request;
  while (receive_frames(zap, request)) {
    const auto text = [&](std::size_t i) {
      const Bytes bytes = i < request.frames.size() ? request.frames[i].bytes() : Bytes();
      return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    };
    const Bytes credentials = request.frames.size() == 7 ? request.frames[6].bytes() : Bytes();
    const std::optional<std::string> user_id = desk.judge(text(2), text(5), credentials);
    if (!user_id && clock.now() >= next_refusal_log) {
      log_warn("connection_refused", {{"lane", text(2)}, {"address", text(3)}, {"mechanism", text(5)}});
      next_refusal_log = clock.now() + std::chrono::seconds(1);
    }
    const std::string_view user = user_id ? std::string_view(*user_id) : std::string_view();  // no copy of it
    const std::string_view reply[] = {"1.0", text(1), user_id ? "200" : "400", user_id ? "OK" : "unknown key",
                                      user,  ""};
    for (std::size_t i = 0; i < std::size(reply); ++i) {
      zap.send(ZmqFrame::copy_of(std::as_bytes(std::span(reply[i]))), i + 1 < std::size(reply));
    }
  }
}

// Sleeps until something is there to read, or the time has come.
void ZmqNetwork::State::poll(Time until) {
  poller.clear();
  poller.add(wake_fd, false);
  poller.add(zap);
  for (auto& listener : listeners) {
    poller.add(listener->socket());
    poller.add(listener->monitor().socket());
    if (const std::optional<Time> cut = listener->next_cut()) until = std::min(until, *cut);
  }
  for (auto& dialer : dialers) {
    poller.add(dialer->socket());
    poller.add(dialer->monitor().socket());
    until = std::min(until, dialer->next_time());
  }
  for (const Prober::Probe& probe : prober.probes()) {
    if (probe.fd >= 0) poller.add(probe.fd, true);
  }
  if (const std::optional<Time> probe = prober.next_time()) until = std::min(until, *probe);
  const Duration left = std::max(until - clock.now(), Duration::zero());
  poller.wait(std::chrono::ceil<std::chrono::milliseconds>(left));
}

void ZmqNetwork::State::lost(const std::vector<ZmqListener::Lost>& devices, Lane lane,
                             std::vector<NetworkEvent>& events) {
  for (const ZmqListener::Lost& one : devices) {
    // Whether its process is dead is asked at its inbox, the one address of it we know.
    if (const ZmqDialer* inbox = dialer(one.device, Lane::Data)) {
      prober.ask(one.device, lane, inbox->endpoint(), "the connection broke", clock.now());
    } else {
      tell_down(events, one.device, lane, false, "the connection broke");
    }
  }
}

void ZmqNetwork::State::read_everything(std::vector<NetworkEvent>& events) {
  serve_zap();
  for (auto& listener : listeners) {
    lost_now.clear();
    listener->read_monitor(lost_now);
    listener->read(events, lost_now);
    lost(lost_now, listener->lane(), events);
  }
  for (auto& dialer : dialers) {
    dialer->read(events);  // first what it said, then how it ended
    dialer->read_monitor(events);
    dialer->read(events);
  }
}

void ZmqNetwork::State::keep_time(std::vector<NetworkEvent>& events) {
  const Time now = clock.now();
  for (auto& listener : listeners) listener->cut_due(now);
  for (auto& dialer : dialers) dialer->advance(now);
  answers.clear();
  prober.advance(now, answers);
  for (Prober::Answer& answer : answers) {
    tell_down(events, answer.device, answer.lane, answer.refused, std::move(answer.reason));
  }
}

void ZmqNetwork::wait(Duration timeout, std::vector<NetworkEvent>& events) {
  const Time until = state_->clock.now() + timeout;
  const std::size_t before = events.size();
  do {
    state_->poll(until);
    std::uint64_t wakes = 0;
    if (::read(state_->wake_fd, &wakes, sizeof wakes) == sizeof wakes) events.emplace_back(Woken{});
    state_->read_everything(events);
    state_->keep_time(events);
  } while (events.size() == before && state_->clock.now() < until);
}

void ZmqNetwork::wake() {
  const std::uint64_t one = 1;
  // A full counter wakes as well.
  [[maybe_unused]] const ssize_t written = ::write(state_->wake_fd, &one, sizeof one);
}

std::uint64_t ZmqNetwork::rejected_frames() const { return state_->rejected; }
std::uint64_t ZmqNetwork::refused_connections() const { return state_->desk.num_refused(); }

}  // namespace shoal
