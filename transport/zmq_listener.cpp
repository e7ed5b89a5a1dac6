#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>

#include "base/log.h"
#include "transport/zmq_state.h"

namespace shoal {
namespace {

std::string_view text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

void append_end(std::string& ends, int fd, int (*name)(int, sockaddr*, socklen_t*)) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (name(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
    ends.append(reinterpret_cast<const char*>(&address), size);
}

}  // namespace

Status ZmqListener::open(const std::string& host, std::uint16_t port) {
  const Endpoint wanted = endpoint_of(host, port);
  Result<ZmqSocket> router = ZmqSocket::open(shared_.context, ZmqKind::Router);
  if (!router) return fail(router.error());
  router_ = *std::move(router);
  router_.set_limits(lane_);
  router_.serve_curve(shared_.options.keys, lane_);
  if (wanted.is_ipv6) router_.set_ipv6();
  Result<ZmqMonitor> monitor = ZmqMonitor::open(shared_.context, router_);
  if (!monitor) return fail(monitor.error());
  monitor_ = *std::move(monitor);
  std::string text = to_string(wanted);
  if (port == 0) text.replace(text.rfind(':'), std::string::npos, ":*");
  if (Status bound = router_.bind(text); !bound)
    return fail(bound.error().during(std::string(name_of(lane_)) + " lane"));
  const Result<Endpoint> actual = parse_endpoint(router_.last_endpoint());
  if (!actual) return fail(actual.error());
  port_ = actual->port;
  return {};
}

bool ZmqListener::has_route(DeviceId to) const {
  const auto route = routes_.find(to);
  return route != routes_.end() && route->second.is_open;
}

ZmqSocket::Sent ZmqListener::send(DeviceId to, EncodedMessage& encoded) {
  const auto route = routes_.find(to);
  if (route == routes_.end() || !route->second.is_open) return ZmqSocket::Sent::Unreachable;
  return send_frames(router_, &route->second.routing_id, encoded, shared_.slots);
}

Status ZmqListener::reply_join(std::uint64_t ticket, EncodedMessage& encoded) {
  const auto found = tickets_.find(ticket);
  if (found == tickets_.end()) return fail(ErrorCode::Unavailable, "the joining worker is gone");
  const std::string routing_id = std::move(found->second);
  tickets_.erase(found);
  if (send_frames(router_, &routing_id, encoded, shared_.slots) == ZmqSocket::Sent::Yes) return {};
  return fail(ErrorCode::Unavailable, "the joining worker is gone");
}

// ---- Cutting --------------------------------------------------------------------------------
// libzmq cannot drop one peer of a ROUTER, so its TCP connection is shut down under it.

std::string ZmqListener::ends_of(int fd) {
  std::string ends;
  if (fd < 0) return ends;
  append_end(ends, fd, ::getsockname);
  append_end(ends, fd, ::getpeername);
  return ends;
}

void ZmqListener::cut(DeviceId device, Time at) {
  const auto route = routes_.find(device);
  if (route == routes_.end()) return;
  if (route->second.is_open) cuts_.push_back({route->second.tcp, at});
  routes_.erase(route);
}

void ZmqListener::cut_due(Time now) {
  std::erase_if(cuts_, [&](const Cut& cut) {
    if (cut.at > now) return false;
    // The number may have passed to another connection meanwhile.
    if (!cut.tcp.ends.empty() && ends_of(cut.tcp.fd) == cut.tcp.ends) ::shutdown(cut.tcp.fd, SHUT_RDWR);
    return true;
  });
}

std::optional<Time> ZmqListener::next_cut() const {
  std::optional<Time> next;
  for (const Cut& cut : cuts_) {
    if (!next || cut.at < *next) next = cut.at;
  }
  return next;
}

// ---- Reading --------------------------------------------------------------------------------

void ZmqListener::read_monitor(std::vector<Lost>& lost) {
  while (const std::optional<ZmqConnectionEvent> event = monitor_.next()) {
    if (event->kind == ZmqConnectionEvent::Accepted) open_fds_.insert(event->fd);
    if (event->kind != ZmqConnectionEvent::Down) continue;
    open_fds_.erase(event->fd);
    for (auto& [device, route] : routes_) {
      if (!route.is_open || route.tcp.fd != event->fd) continue;
      route.is_open = false;  // the route stays known: frames sent before the end are still to be read
      if (tells()) lost.push_back({device});
    }
  }
}

// The newest connection of a key is the one that counts, an older one is cut. False: the frame comes from an
// older one.
bool ZmqListener::greet(const ZapDesk::Identity& who, const ZmqFrame& routing_id, int fd,
                        std::vector<NetworkEvent>& events, std::vector<Lost>& lost) {
  const auto known = routes_.find(who.device);
  if (known != routes_.end() && known->second.connection >= who.connection)
    return known->second.connection == who.connection;
  // An earlier connection with this number must be seen to end before it is taken for this one's.
  read_monitor(lost);
  const bool is_open = open_fds_.contains(fd);  // it may have broken before its first frame was read
  if (known != routes_.end() && known->second.is_open) {
    cuts_.push_back({known->second.tcp, Time{}});  // at once
    if (tells()) tell_down(events, who.device, lane_, false, "replaced by a newer connection");
  }
  routes_[who.device] = {
      who.connection, std::string(text_of(routing_id.bytes())), {fd, ends_of(fd)}, is_open};
  if (tells()) tell_up(who.device, events, lost);
  if (tells() && !is_open) lost.push_back({who.device});
  return true;
}

// Whatever was about to be told of the connection before comes first.
void ZmqListener::tell_up(DeviceId device, std::vector<NetworkEvent>& events, std::vector<Lost>& lost) {
  Prober::Answer pending;
  if (shared_.prober.cancel(device, lane_, pending))
    tell_down(events, device, lane_, false, std::move(pending.reason));
  if (std::erase_if(lost, [&](const Lost& one) { return one.device == device; }) > 0) {
    tell_down(events, device, lane_, false, "the connection broke");
  }
  events.emplace_back(PeerUp{device, lane_});
}

void ZmqListener::read(std::vector<NetworkEvent>& events, std::vector<Lost>& lost) {
  for (int i = 0; i < kMaxFramesPerWait; ++i) {
    ZmqFrame routing_id;
    if (!router_.receive(routing_id)) return;
    if (!routing_id.has_more() || !receive_frames(router_, received_)) continue;
    const ZmqFrame& header = received_.frames.front();
    if (lane_ == Lane::Join) {
      if (ZapDesk::is_joiner(header.user_id())) read_join(routing_id, received_, events);
      continue;
    }
    const std::optional<ZapDesk::Identity> who = shared_.desk.identify(header.user_id());
    if (!who) {  // revoked since
      ++shared_.rejected;
    } else if (greet(*who, routing_id, header.connection_fd(), events, lost)) {
      shared_.deliver(who->device, lane_, received_, events);
    }
  }
}

void ZmqListener::read_join(const ZmqFrame& routing_id, ReceivedFrames& received,
                            std::vector<NetworkEvent>& events) {
  Result<Message> message = shared_.decode(Lane::Join, received);
  if (!message || !std::holds_alternative<JoinRequest>(*message)) {
    ++shared_.rejected;  // the join key is everybody's who knows the token: nobody to cut off
    log_warn("join_request_malformed",
             {{"reason", message ? "not a JoinRequest" : message.error().message()}});
    return;
  }
  if (tickets_.size() >= kMaxOpenJoinTickets) tickets_.erase(tickets_.begin());
  tickets_[next_ticket_] = std::string(text_of(routing_id.bytes()));
  events.emplace_back(JoinReceived{next_ticket_++, std::get<JoinRequest>(*std::move(message))});
}

}  // namespace shoal
