#include "lab/door.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <list>
#include <string>
#include <vector>

#include "lab/hosts.h"

namespace shoal {
namespace {

constexpr std::size_t kBufferBytes = 64 << 10;
constexpr int kBacklog = 128;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Result<int> listen_on(std::uint16_t port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int yes = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const sockaddr_in address = loopback(port);
  const bool listens = ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                       ::listen(listener, kBacklog) == 0;
  if (listens) return listener;
  const std::string why = std::strerror(errno);
  ::close(listener);
  return fail(ErrorCode::Unavailable, "listening on 127.0.0.1:" + std::to_string(port) + ": " + why);
}

// Bytes on their way from one socket to another. A full buffer is not read into: the sender waits, as over
// any wire.
struct Flow {
  int from = -1;
  int to = -1;
  std::vector<char> bytes;
  bool is_over = false;  // nothing more comes

  short wants_of_from() const { return !is_over && bytes.empty() ? POLLIN : 0; }
  short wants_of_to() const { return bytes.empty() ? 0 : POLLOUT; }

  void read() {
    bytes.resize(kBufferBytes);
    const ssize_t got = ::read(from, bytes.data(), bytes.size());
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    const bool later = got < 0 && (errno == EAGAIN || errno == EINTR);
    if (got > 0 || later) return;
    is_over = true;
    ::shutdown(to, SHUT_WR);
  }
  // False: the other side is gone.
  bool write() {
    const ssize_t put = ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (put < 0) return errno == EAGAIN || errno == EINTR;
    bytes.erase(bytes.begin(), bytes.begin() + put);
    return true;
  }
};

// One client and its connection in the host.
class Passage {
 public:
  Passage(int client, int server) : in_{client, server, {}, false}, out_{server, client, {}, false} {}
  ~Passage() {
    ::close(in_.from);
    ::close(in_.to);
  }
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;

  void ask(std::vector<pollfd>& files) const {
    files.push_back({in_.from, static_cast<short>(in_.wants_of_from() | out_.wants_of_to()), 0});
    files.push_back({in_.to, static_cast<short>(out_.wants_of_from() | in_.wants_of_to()), 0});
  }
  // False: it is over.
  bool carry(short client, short server) {
    if ((client & POLLERR) || (server & POLLERR)) return false;
    if ((client & (POLLIN | POLLHUP)) && in_.wants_of_from()) in_.read();
    if ((server & (POLLIN | POLLHUP)) && out_.wants_of_from()) out_.read();
    if ((server & POLLOUT) && !in_.bytes.empty() && !in_.write()) return false;
    if ((client & POLLOUT) && !out_.bytes.empty() && !out_.write()) return false;
    return !(in_.is_over && out_.is_over && in_.bytes.empty() && out_.bytes.empty());
  }

 private:
  Flow in_;   // client -> host
  Flow out_;  // host -> client
};

// Loopback: connecting takes no time worth waiting for elsewhere.
void accept_one(int listener, std::uint16_t port, std::list<Passage>& passages) {
  const int client = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (client < 0) return;
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(server);
    ::close(client);  // as if nothing listened
    return;
  }
  ::fcntl(server, F_SETFL, O_NONBLOCK);
  passages.emplace_back(client, server);
}

int stop_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return ::signalfd(-1, &signals, SFD_CLOEXEC);
}

}  // namespace

Status serve_door(std::uint16_t port, int host) {
  const Result<int> listener = listen_on(port);  // here; what is opened from now on is there
  if (!listener) return fail(listener.error());
  if (Status there = enter_host(host); !there) return there;
  const int signals = stop_signals();
  std::puts("ready");
  std::fflush(stdout);
  std::list<Passage> passages;
  while (true) {
    std::vector<pollfd> files{{signals, POLLIN, 0}, {*listener, POLLIN, 0}};
    for (const Passage& passage : passages) passage.ask(files);
    if (::poll(files.data(), files.size(), -1) < 0 && errno != EINTR) break;
    if (files[0].revents) break;
    std::size_t next = 2;
    for (auto passage = passages.begin(); passage != passages.end(); next += 2) {
      const bool goes_on = passage->carry(files[next].revents, files[next + 1].revents);
      passage = goes_on ? std::next(passage) : passages.erase(passage);
    }
    if (files[1].revents) accept_one(*listener, port, passages);
  }
  ::close(*listener);
  return {};
}

}  // namespace shoal
