#include "transport/prober.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "transport/limits.h"

namespace shoal {
namespace {

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

std::optional<Address> address_of(const Endpoint& endpoint) {
  Address address;
  if (endpoint.is_ipv6) {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.bytes);
    const std::size_t zone = endpoint.host.find('%');
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(endpoint.port);
    if (zone != std::string::npos) v6->sin6_scope_id = if_nametoindex(endpoint.host.c_str() + zone + 1);
    address.size = sizeof *v6;
    if (inet_pton(AF_INET6, endpoint.host.substr(0, zone).c_str(), &v6->sin6_addr) != 1) return std::nullopt;
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address.bytes);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(endpoint.port);
    address.size = sizeof *v4;
    if (inet_pton(AF_INET, endpoint.host.c_str(), &v4->sin_addr) != 1) return std::nullopt;
  }
  return address;
}

void close_socket(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

}  // namespace

Prober::~Prober() {
  for (Probe& probe : probes_) close_socket(probe.fd);
}

void Prober::ask(DeviceId device, Lane lane, const std::string& endpoint, std::string reason, Time now) {
  Answer old;
  cancel(device, lane, old);
  probes_.push_back({.device = device,
                     .lane = lane,
                     .reason = std::move(reason),
                     .endpoint = endpoint,
                     .fd = -1,
                     .retry_at = now,
                     .deadline = now + kProbeTimeout,
                     .attempts_left = kProbeAttempts});
}

bool Prober::cancel(DeviceId device, Lane lane, Answer& answer) {
  const auto found = std::find_if(probes_.begin(), probes_.end(),
                                  [&](const Probe& p) { return p.device == device && p.lane == lane; });
  if (found == probes_.end()) return false;
  answer = {device, lane, false, std::move(found->reason)};
  close_socket(found->fd);
  probes_.erase(found);
  return true;
}

std::optional<Time> Prober::next_time() const {
  std::optional<Time> next;
  for (const Probe& probe : probes_) {
    const Time time = probe.fd < 0 ? probe.retry_at : probe.deadline;
    if (!next || time < *next) next = time;
  }
  return next;
}

// Leaves fd < 0 and no attempts where asking is impossible.
void Prober::start(Probe& probe) {
  const Result<Endpoint> endpoint = parse_endpoint(probe.endpoint);
  const std::optional<Address> address = endpoint ? address_of(*endpoint) : std::nullopt;
  --probe.attempts_left;
  if (address) probe.fd = ::socket(address->bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe.fd < 0) {
    probe.attempts_left = 0;
    return;
  }
  if (::connect(probe.fd, reinterpret_cast<const sockaddr*>(&address->bytes), address->size) != 0 &&
      errno == ECONNREFUSED) {
    probe.attempts_left = -1;  // known at once
  }
}

std::optional<bool> Prober::look(Probe& probe, Time now) {
  if (now >= probe.deadline) return false;
  if (probe.fd < 0) {
    if (now < probe.retry_at) return std::nullopt;
    start(probe);
    if (probe.attempts_left < 0) return true;
    if (probe.fd < 0) return false;
  }
  pollfd ready{probe.fd, POLLOUT, 0};
  if (::poll(&ready, 1, 0) <= 0) return std::nullopt;
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(probe.fd, SOL_SOCKET, SO_ERROR, &error, &size);
  close_socket(probe.fd);
  if (error == ECONNREFUSED) return true;
  if (probe.attempts_left == 0) return false;
  probe.retry_at = now + kProbeAgain;
  return std::nullopt;
}

void Prober::advance(Time now, std::vector<Answer>& answers) {
  for (std::size_t i = 0; i < probes_.size();) {
    const std::optional<bool> refused = look(probes_[i], now);
    if (!refused) {
      ++i;
      continue;
    }
    answers.push_back({probes_[i].device, probes_[i].lane, *refused, std::move(probes_[i].reason)});
    close_socket(probes_[i].fd);
    probes_.erase(probes_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace shoal
