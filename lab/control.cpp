#include "lab/control.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace shoal {
namespace {

constexpr const char* kControlPath = "/tmp/linklab.sock";
constexpr const char* kLockPath = "/tmp/linklab.lock";
constexpr std::size_t kMaxReply = 1 << 16;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{AF_UNIX, {}};
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

int bound_socket(const std::string& path) {
  ::unlink(path.c_str());
  const int descriptor = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const sockaddr_un address = address_of(path);
  if (descriptor < 0 || ::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return descriptor;
  ::close(descriptor);
  return -1;
}

}  // namespace

Result<ControlSocket> ControlSocket::listen() {
  const int descriptor = bound_socket(kControlPath);
  if (descriptor < 0)
    return fail(ErrorCode::Unavailable, std::string("opening ") + kControlPath + ": " + std::strerror(errno));
  return ControlSocket(descriptor);
}

ControlSocket::ControlSocket(ControlSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}
ControlSocket::~ControlSocket() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  ::unlink(kControlPath);
}

void ControlSocket::answer(const std::function<std::string(const std::string&)>& carry_out) const {
  char text[1024];
  sockaddr_un from{};
  socklen_t size = sizeof from;
  const ssize_t length =
      ::recvfrom(descriptor_, text, sizeof text, MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from), &size);
  if (length <= 0) return;
  const std::string reply =
      carry_out(std::string(text, static_cast<std::size_t>(length))).substr(0, kMaxReply);
  ::sendto(descriptor_, reply.data(), reply.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
}

Result<std::string> say_to_lab(const std::string& command) {
  const std::string own = "/tmp/linklab-" + std::to_string(::getpid()) + ".sock";
  const int descriptor = bound_socket(own);
  if (descriptor < 0) return fail(ErrorCode::Unavailable, "opening " + own + ": " + std::strerror(errno));
  const sockaddr_un lab = address_of(kControlPath);
  const ssize_t sent = ::sendto(descriptor, command.data(), command.size(), 0,
                                reinterpret_cast<const sockaddr*>(&lab), sizeof lab);
  std::string reply(kMaxReply, '\0');
  const ssize_t got = sent < 0 ? -1 : ::recv(descriptor, reply.data(), reply.size(), 0);
  ::close(descriptor);
  ::unlink(own.c_str());
  if (sent < 0) return fail(ErrorCode::Unavailable, "no lab is up");
  reply.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return reply;
}

Status lock_lab(bool wait) {
  const int lock = ::open(kLockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0600);  // held until the process ends
  if (lock >= 0 && ::flock(lock, wait ? LOCK_EX : LOCK_EX | LOCK_NB) == 0) return {};
  return fail(ErrorCode::Unavailable, "another lab is up: linklab down ends it");
}

}  // namespace shoal
