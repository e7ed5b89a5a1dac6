#include "worker/device_facts.h"

#include <fcntl.h>
#include <hwloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <span>
#include <sstream>
#include <thread>

#include "base/bytes.h"
#include "kernels/kernel_table.h"
#include "kernels/panels.h"
#include "model/sha256.h"
#include "transport/limits.h"
#include "worker/cgroup.h"
#include "worker/profile.h"

namespace shoal {
namespace {

constexpr double kShareForShoal = 0.85;  // of what is free; the rest is the system's

struct AddressList {
  addrinfo* first = nullptr;
  ~AddressList() {
    if (first) freeaddrinfo(first);
  }
};

class Socket {
 public:
  explicit Socket(int family) : fd_(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {}
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

std::uint64_t available_memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    if (fields >> key >> kib && key == "MemAvailable:") return kib << 10;
  }
  return static_cast<std::uint64_t>(sysconf(_SC_AVPHYS_PAGES)) *
         static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// Physical cores in our affinity: two hardware threads of one core share its vector units.
std::size_t physical_cores() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return 0;
  const std::unique_ptr<hwloc_topology, decltype(&hwloc_topology_destroy)> owner(topology,
                                                                                 &hwloc_topology_destroy);
  if (hwloc_topology_load(topology) != 0) return 0;
  const std::unique_ptr<hwloc_bitmap_s, decltype(&hwloc_bitmap_free)> bound(hwloc_bitmap_alloc(),
                                                                            &hwloc_bitmap_free);
  if (hwloc_get_cpubind(topology, bound.get(), HWLOC_CPUBIND_PROCESS) != 0) return 0;
  const int cores = hwloc_get_nbobjs_inside_cpuset_by_type(topology, bound.get(), HWLOC_OBJ_CORE);
  return cores > 0 ? static_cast<std::size_t>(cores) : 0;
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 && name[0] != '\0' ? name : "device";
}

std::size_t usable_cores() {
  std::size_t cores = physical_cores();
  if (cores == 0) cores = std::max(1u, std::thread::hardware_concurrency());
  const double usable = std::min({static_cast<double>(cores), cgroup_limits().cores, double{kMaxThreads}});
  return std::max<std::size_t>(1, static_cast<std::size_t>(usable));
}

std::uint64_t giveable_memory() {
  return static_cast<std::uint64_t>(
      kShareForShoal * static_cast<double>(std::min(available_memory(), cgroup_limits().memory_left)));
}

std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

// Files index0, index1, ... hold "32K" or "16384K".
std::uint64_t largest_cache(const std::string& root) {
  std::uint64_t largest = 0;
  for (int index = 0; index < 8; ++index) {
    std::ifstream file(root + "sys/devices/system/cpu/cpu0/cache/index" + std::to_string(index) + "/size");
    std::uint64_t size = 0;
    char unit = 0;
    if (!(file >> size)) continue;
    file >> unit;
    const int shift = unit == 'K' ? 10 : unit == 'M' ? 20 : 0;
    if (size < std::uint64_t{1} << 30) largest = std::max(largest, size << shift);
  }
  return largest;
}

std::string hardware_text(const std::string& root) {
  static constexpr std::array kKeys = {
      "model name", "cpu family",  "model",    "stepping", "Hardware",       "CPU architecture",
      "Revision",   "CPU variant", "CPU part", "Model",    "CPU implementer"};
  std::set<std::string> lines;  // each once, however many processors there are
  std::ifstream file(root + "proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    std::string key = line.substr(0, line.find(':'));
    while (!key.empty() && std::isspace(static_cast<unsigned char>(key.back()))) key.pop_back();
    if (std::ranges::find(kKeys, key) != kKeys.end()) lines.insert(line);
  }
  for (const char* path :
       {"sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "proc/device-tree/model"}) {
    std::ifstream fact(root + path);
    if (std::string line; std::getline(fact, line)) lines.insert(line);
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::uint64_t profile_key(const std::string& hardware, const std::string& kernels, std::size_t num_threads) {
  std::string all = hardware + kernels;
  for (const std::size_t number : {num_threads, std::size_t{kProfileVersion}, std::size_t{kArithmeticVersion},
                                   std::size_t{kPanelLayoutVersion}})
    all += "\n" + std::to_string(number);
  const Sha256 digest = sha256_of(std::as_bytes(std::span(all)));
  return load<std::uint64_t>(reinterpret_cast<const std::byte*>(digest.data()));
}

bool accepts_connections(const std::string& host, std::uint16_t port, int timeout_ms) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  AddressList list;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list.first) != 0) return false;
  for (const addrinfo* address = list.first; address; address = address->ai_next) {
    const Socket socket(address->ai_family);
    if (socket.fd() < 0) continue;
    if (::connect(socket.fd(), address->ai_addr, address->ai_addrlen) == 0) return true;
    pollfd waiting{.fd = socket.fd(), .events = POLLOUT, .revents = 0};
    int error = 0;
    socklen_t size = sizeof error;
    if (::poll(&waiting, 1, timeout_ms) == 1 &&
        ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
      return true;
  }
  return false;
}

}  // namespace shoal
