#include "transport/zmq_socket.h"

#include <zmq.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "transport/limits.h"

namespace shoal {
namespace {

static_assert(sizeof(zmq_msg_t) == 64 && alignof(zmq_msg_t) <= 8, "ZmqFrame holds a zmq_msg_t");

// zmq.h 4.3 hides ZMQ_ZAP_ENFORCE_DOMAIN among drafts; the library knows it in every build. Without it, a
// vanished ZAP handler would let everybody in.
constexpr int kZapEnforceDomain = 93;

zmq_msg_t* message_of(void* raw) { return static_cast<zmq_msg_t*>(raw); }

void set(void* socket, int option, int value) {
  SHOAL_CHECK(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}
void set(void* socket, int option, const std::string& value) {
  SHOAL_CHECK(zmq_setsockopt(socket, option, value.c_str(), value.size()) == 0);
}

template <typename D>
int milliseconds(D duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(duration).count());
}
template <typename D>
int whole_seconds(D duration) {
  return static_cast<int>(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

std::size_t max_frame_bytes(Lane lane) {
  switch (lane) {
    case Lane::Join:
      return kMaxHeaderBytes;
    case Lane::Control:
      return kMaxControlBytes;
    case Lane::Data:
    case Lane::Bulk:
      return kMaxPayloadChunkBytes;
  }
  return kMaxHeaderBytes;
}

std::string advice_for(int error) {
  switch (error) {
    case EADDRINUSE:
      return "the port is taken: stop the process that listens there, or choose another port";
    case EADDRNOTAVAIL:
    case ENODEV:
      return "this machine has no such address: choose one of its own, or 0.0.0.0 for all";
    case EACCES:
      return "not allowed: choose a port above 1023";
    default:
      return zmq_strerror(error);
  }
}

int native(ZmqKind kind) {
  switch (kind) {
    case ZmqKind::Router:
      return ZMQ_ROUTER;
    case ZmqKind::Dealer:
      return ZMQ_DEALER;
    case ZmqKind::Rep:
      return ZMQ_REP;
    case ZmqKind::Pair:
      return ZMQ_PAIR;
  }
  return ZMQ_PAIR;
}

void free_slot(void*, void* hint) {
  auto* slot = static_cast<PayloadSlots::Slot*>(hint);
  slot->home->give_back(slot);
}

}  // namespace

// ---- PayloadSlots ---------------------------------------------------------------------------

PayloadSlots::Slot* PayloadSlots::take(Payload payload) {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) {
    all_.push_back(std::make_unique<Slot>());
    all_.back()->home = this;
    idle_.reserve(all_.size());
    idle_.push_back(all_.back().get());
  }
  Slot* slot = idle_.back();
  idle_.pop_back();
  slot->payload = std::move(payload);
  return slot;
}

void PayloadSlots::give_back(Slot* slot) {
  slot->payload.reset();
  const std::lock_guard lock(mutex_);
  idle_.push_back(slot);
}

// ---- ZmqFrame -------------------------------------------------------------------------------

ZmqFrame::ZmqFrame() noexcept { zmq_msg_init(message_of(raw_)); }
ZmqFrame::ZmqFrame(ZmqFrame&& other) noexcept : ZmqFrame() {
  zmq_msg_move(message_of(raw_), message_of(other.raw_));
}
ZmqFrame& ZmqFrame::operator=(ZmqFrame&& other) noexcept {
  if (this != &other) zmq_msg_move(message_of(raw_), message_of(other.raw_));
  return *this;
}
ZmqFrame::~ZmqFrame() { zmq_msg_close(message_of(raw_)); }

ZmqFrame ZmqFrame::copy_of(Bytes bytes) {
  ZmqFrame frame;
  SHOAL_CHECK(zmq_msg_init_size(message_of(frame.raw_), bytes.size()) == 0);
  if (!bytes.empty()) std::memcpy(zmq_msg_data(message_of(frame.raw_)), bytes.data(), bytes.size());
  return frame;
}

ZmqFrame ZmqFrame::sharing(Payload payload, PayloadSlots& slots) {
  PayloadSlots::Slot* slot = slots.take(std::move(payload));
  const Bytes bytes = slot->payload.bytes();
  ZmqFrame frame;
  void* data = const_cast<std::byte*>(bytes.data());  // libzmq only reads it
  SHOAL_CHECK(zmq_msg_init_data(message_of(frame.raw_), data, bytes.size(), free_slot, slot) == 0);
  return frame;
}

Bytes ZmqFrame::bytes() const {
  zmq_msg_t* message = message_of(raw_);
  return Bytes(static_cast<const std::byte*>(zmq_msg_data(message)), zmq_msg_size(message));
}
bool ZmqFrame::has_more() const { return zmq_msg_more(message_of(raw_)) != 0; }
std::string_view ZmqFrame::user_id() const {
  const char* text = zmq_msg_gets(message_of(raw_), "User-Id");
  return text ? text : "";
}
int ZmqFrame::connection_fd() const { return zmq_msg_get(message_of(raw_), ZMQ_SRCFD); }

Payload ZmqFrame::into_payload(ZmqFrame frame) {
  const Bytes bytes = frame.bytes();
  if (bytes.data() >= frame.raw_ && bytes.data() < frame.raw_ + sizeof frame.raw_)
    return Payload::copy_of(bytes);
  return Payload(std::move(frame), bytes);
}

// ---- ZmqContext, ZmqSocket ------------------------------------------------------------------

ZmqContext::ZmqContext() : raw_(zmq_ctx_new()) {
  SHOAL_CHECK(raw_ != nullptr);
  zmq_ctx_set(raw_, ZMQ_IO_THREADS, 1);
  zmq_ctx_set(raw_, ZMQ_MAX_SOCKETS, 8192);  // a hub has a socket and a monitor for each worker
}
ZmqContext::~ZmqContext() { zmq_ctx_term(raw_); }

Result<ZmqSocket> ZmqSocket::open(ZmqContext& context, ZmqKind kind) {
  ZmqSocket socket;
  socket.raw_ = zmq_socket(context.raw(), native(kind));
  if (!socket.raw_)
    return fail(ErrorCode::OutOfMemory, std::string("opening a socket: ") + zmq_strerror(zmq_errno()));
  set(socket.raw_, ZMQ_LINGER, milliseconds(kLinger));
  set(socket.raw_, ZMQ_SNDTIMEO, 0);
  set(socket.raw_, ZMQ_RCVTIMEO, 0);
  return socket;
}
ZmqSocket& ZmqSocket::operator=(ZmqSocket&& other) noexcept {
  if (this != &other) {
    close();
    raw_ = std::exchange(other.raw_, nullptr);
  }
  return *this;
}
void ZmqSocket::close() {
  if (raw_) zmq_close(raw_);
  raw_ = nullptr;
}

void ZmqSocket::set_limits(Lane lane) {
  const auto max_bytes = static_cast<std::int64_t>(max_frame_bytes(lane) + kMaxCurveOverheadBytes);
  SHOAL_CHECK(zmq_setsockopt(raw_, ZMQ_MAXMSGSIZE, &max_bytes, sizeof max_bytes) == 0);
  set(raw_, ZMQ_SNDHWM, kSendHighWater);
  set(raw_, ZMQ_RCVHWM, lane == Lane::Data ? kDataReceiveHighWater : kReceiveHighWater);
  set(raw_, ZMQ_BACKLOG, kConnectionBacklog);
  set(raw_, ZMQ_HANDSHAKE_IVL, milliseconds(kHandshakeTimeout));
  set(raw_, ZMQ_CONNECT_TIMEOUT, milliseconds(kConnectTimeout));
  set(raw_, ZMQ_TCP_MAXRT, milliseconds(kTcpTimeout));
  set(raw_, ZMQ_TCP_KEEPALIVE, 1);
  set(raw_, ZMQ_TCP_KEEPALIVE_IDLE, whole_seconds(kKeepaliveIdle));
  set(raw_, ZMQ_TCP_KEEPALIVE_INTVL, whole_seconds(kKeepaliveInterval));
  set(raw_, ZMQ_TCP_KEEPALIVE_CNT, kKeepaliveCount);
  set(raw_, ZMQ_IMMEDIATE, 1);       // queue for completed connections alone
  set(raw_, ZMQ_RECONNECT_IVL, -1);  // ZmqNetwork reconnects, with a new socket and so an empty queue
}

void ZmqSocket::set_ipv6() const { set(raw_, ZMQ_IPV6, 1); }
void ZmqSocket::set_linger(std::chrono::milliseconds linger) const {
  set(raw_, ZMQ_LINGER, milliseconds(linger));
}

void ZmqSocket::serve_curve(const KeyPair& keys, Lane lane) {
  set(raw_, ZMQ_ROUTER_MANDATORY, 1);
  set(raw_, ZMQ_CURVE_SERVER, 1);
  set(raw_, ZMQ_CURVE_SECRETKEY, keys.secret_key);
  set(raw_, ZMQ_ZAP_DOMAIN, std::string(name_of(lane)));
  set(raw_, kZapEnforceDomain, 1);
}

void ZmqSocket::use_curve(const KeyPair& keys, const std::string& server_public_key) {
  set(raw_, ZMQ_CURVE_SERVERKEY, server_public_key);
  set(raw_, ZMQ_CURVE_PUBLICKEY, keys.public_key);
  set(raw_, ZMQ_CURVE_SECRETKEY, keys.secret_key);
}

Status ZmqSocket::bind(const std::string& endpoint) {
  if (zmq_bind(raw_, endpoint.c_str()) == 0) return {};
  return fail(ErrorCode::InvalidArgument, "listening on " + endpoint + ": " + advice_for(zmq_errno()));
}
Status ZmqSocket::connect(const std::string& endpoint) {
  if (zmq_connect(raw_, endpoint.c_str()) == 0) return {};
  return fail(ErrorCode::InvalidArgument, "connecting to " + endpoint + ": " + zmq_strerror(zmq_errno()));
}
std::string ZmqSocket::last_endpoint() const {
  char text[512] = {};
  std::size_t size = sizeof text;
  SHOAL_CHECK(zmq_getsockopt(raw_, ZMQ_LAST_ENDPOINT, text, &size) == 0);
  return text;
}

ZmqSocket::Sent ZmqSocket::send(ZmqFrame frame, bool more) {
  for (;;) {
    if (zmq_msg_send(message_of(frame.raw()), raw_, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0)
      return Sent::Yes;
    if (zmq_errno() == EINTR) continue;
    return zmq_errno() == EAGAIN ? Sent::Full : Sent::Unreachable;
  }
}

bool ZmqSocket::receive(ZmqFrame& frame) {
  for (;;) {
    if (zmq_msg_recv(message_of(frame.raw()), raw_, ZMQ_DONTWAIT) >= 0) return true;
    if (zmq_errno() != EINTR) return false;
  }
}

// ---- ZmqMonitor -----------------------------------------------------------------------------

namespace {
constexpr int kWatchedEvents = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

ZmqConnectionEvent meaning_of(std::uint16_t event, std::uint32_t value) {
  switch (event) {
    case ZMQ_EVENT_ACCEPTED:
      return {ZmqConnectionEvent::Accepted, static_cast<int>(value)};
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      return {ZmqConnectionEvent::Up, -1};
    case ZMQ_EVENT_DISCONNECTED:
      return {ZmqConnectionEvent::Down, static_cast<int>(value)};
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return {ZmqConnectionEvent::KeyRefused, -1};
    case ZMQ_EVENT_CLOSED:
      return {ZmqConnectionEvent::NotMade, -1};
    default:
      return {ZmqConnectionEvent::HandshakeFailed, -1};
  }
}
}  // namespace

Result<ZmqMonitor> ZmqMonitor::open(ZmqContext& context, ZmqSocket& watched) {
  static std::atomic<std::uint64_t> next_name{0};
  const std::string endpoint = "inproc://monitor-" + std::to_string(next_name++);
  Result<ZmqSocket> pair = ZmqSocket::open(context, ZmqKind::Pair);
  if (!pair) return fail(pair.error());
  set(pair->raw(), ZMQ_RCVHWM, 0);  // never full: see the class
  ZmqMonitor monitor;
  monitor.pair_ = *std::move(pair);
  const bool watches = zmq_socket_monitor(watched.raw(), endpoint.c_str(), kWatchedEvents) == 0;
  if (watches) monitor.watched_ = watched.raw();
  if (!watches || !monitor.pair_.connect(endpoint))
    return fail(ErrorCode::OutOfMemory, std::string("watching a socket: ") + zmq_strerror(zmq_errno()));
  return monitor;
}

ZmqMonitor& ZmqMonitor::operator=(ZmqMonitor&& other) noexcept {
  if (this != &other) {
    close();
    watched_ = std::exchange(other.watched_, nullptr);
    pair_ = std::move(other.pair_);
  }
  return *this;
}

void ZmqMonitor::close() {
  if (watched_) zmq_socket_monitor(watched_, nullptr, 0);
  watched_ = nullptr;
  pair_.close();
}

// Two frames: the event's number and value, unaligned, and the endpoint.
std::optional<ZmqConnectionEvent> ZmqMonitor::next() {
  ZmqFrame head, endpoint;
  if (!pair_ || !pair_.receive(head)) return std::nullopt;
  if (head.has_more()) pair_.receive(endpoint);
  const Bytes bytes = head.bytes();
  SHOAL_CHECK(bytes.size() == 6);
  return meaning_of(load<std::uint16_t>(bytes.data()), load<std::uint32_t>(bytes.data() + 2));
}

// ---- ZmqPoller ------------------------------------------------------------------------------

struct ZmqPoller::Items {
  std::vector<zmq_pollitem_t> list;
};
ZmqPoller::ZmqPoller() : items_(std::make_unique<Items>()) {}
ZmqPoller::~ZmqPoller() = default;
void ZmqPoller::clear() { items_->list.clear(); }
void ZmqPoller::add(const ZmqSocket& socket) {
  if (socket) items_->list.push_back({socket.raw(), 0, ZMQ_POLLIN, 0});
}
void ZmqPoller::add(int fd, bool to_write) {
  items_->list.push_back({nullptr, fd, static_cast<short>(to_write ? ZMQ_POLLOUT : ZMQ_POLLIN), 0});
}
void ZmqPoller::wait(std::chrono::milliseconds timeout) {
  zmq_poll(items_->list.data(), static_cast<int>(items_->list.size()), static_cast<long>(timeout.count()));
}

std::string zmq_version_text() {
  int major = 0, minor = 0, patch = 0;
  zmq_version(&major, &minor, &patch);
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}
bool zmq_has_curve() { return zmq_has("curve") != 0; }

}  // namespace shoal
