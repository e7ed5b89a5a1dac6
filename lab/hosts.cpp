#include "lab/hosts.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace shoal {
namespace {

constexpr const char* kTun = "/dev/net/tun";

// An open file, closed at the end of its scope unless released.
class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int get() const { return descriptor_; }
  int release() { return std::exchange(descriptor_, -1); }

 private:
  int descriptor_;
};

Failure failure_of(const std::string& what) {
  return fail(ErrorCode::Unavailable, what + ": " + std::strerror(errno));
}

Result<int> open_tap() {
  File tap(::open(kTun, O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (tap.get() < 0) return failure_of(std::string("opening ") + kTun);
  ifreq request{};
  request.ifr_flags = IFF_TAP | IFF_NO_PI;
  std::strcpy(request.ifr_name, "eth0");
  if (::ioctl(tap.get(), TUNSETIFF, &request) != 0) return failure_of("making a TAP device");
  return tap.release();
}

// The device is made inside the namespace, by this thread while it is there.
Result<int> open_tap_in(int host) {
  const File home(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (Status there = enter_host(host); !there) return fail(there.error());
  Result<int> tap = open_tap();
  if (::setns(home.get(), CLONE_NEWNET) != 0) return failure_of("coming back from a test host");
  return tap;
}

}  // namespace

std::string host_name_of(int host) { return "lab-" + std::to_string(host); }
std::string host_address_of(int host) { return "10.77.0." + std::to_string(10 + host); }

int run_shell(const std::string& command) { return std::system((command + " >/dev/null 2>&1").c_str()); }

Status check_can_make_hosts() {
  if (::geteuid() != 0)
    return fail(ErrorCode::Unavailable, "test hosts with links of their own need root: run this with sudo");
  if (::access(kTun, R_OK | W_OK) != 0)
    return fail(ErrorCode::Unavailable,
                std::string(kTun) + " is not here: this machine's kernel or container has no TAP devices");
  if (run_shell("ip netns list") != 0)
    return fail(ErrorCode::Unavailable,
                "the command \"ip netns\" does not work here: apt-get install iproute2");
  return {};
}

Result<int> make_host(int host) {
  const std::string name = host_name_of(host);
  if (run_shell("ip netns add " + name) != 0)
    return fail(ErrorCode::Unavailable,
                "\"ip netns add " + name + "\" failed: does this container allow network namespaces?");
  Result<int> tap = open_tap_in(host);
  if (!tap) return tap;
  char mac[32];
  std::snprintf(mac, sizeof mac, "02:00:00:00:00:%02x", static_cast<unsigned>(host) & 0xff);
  const std::string ip = "ip -n " + name + " ";
  run_shell(ip + "link set eth0 address " + mac);
  run_shell(ip + "addr add " + host_address_of(host) + "/24 brd 10.77.0.255 dev eth0");
  run_shell(ip + "link set eth0 up mtu 1500 txqueuelen 10000");
  run_shell(ip + "link set lo up");
  run_shell(ip + "route add 224.0.0.0/4 dev eth0");
  run_shell("ip netns exec " + name +
            " sysctl -qw net.ipv4.tcp_congestion_control=cubic");  // as ordinary devices have it
  return tap;
}

void remove_hosts() {
  run_shell("for n in $(ip netns list | awk '{print $1}' | grep '^lab-[0-9]*$'); do ip netns del $n; done");
}

Status enter_host(int host) {
  const File there(::open(("/var/run/netns/" + host_name_of(host)).c_str(), O_RDONLY | O_CLOEXEC));
  if (there.get() < 0) return failure_of("there is no test host " + host_name_of(host));
  if (::setns(there.get(), CLONE_NEWNET) != 0) return failure_of("entering test host " + host_name_of(host));
  return {};
}

}  // namespace shoal
