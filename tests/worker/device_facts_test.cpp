#include "worker/device_facts.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/worker/tiny_shard.h"
#include "worker/cgroup.h"
#include "worker/device_heat.h"
#include "worker/joining.h"
#include "worker/profile.h"

namespace shoal {
namespace {

void write(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << text;
}

// A listening socket on 127.0.0.1.
class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(fd_, 4) == 0);
    ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  ~Listener() { ::close(fd_); }
  std::uint16_t port = 0;

 private:
  int fd_;
};

}  // namespace

TEST_CASE("the device says sane things of itself") {
  CHECK_FALSE(host_name().empty());
  CHECK(usable_cores() >= 1);
  CHECK(usable_cores() <= 4096);
  CHECK(giveable_memory() > 1 << 20);
  const std::uint64_t before = resident_bytes();
  CHECK(before > 1 << 20);
  std::vector<char> more(32 << 20, 1);
  CHECK(resident_bytes() >= before + (24 << 20));
  CHECK(more[5] == 1);
}

TEST_CASE("a control group's memory limit counts, and page cache is free memory") {
  const TemporaryDirectory root;
  SUBCASE("version 2") {
    write(root.file("memory.max"), "max\n");
    write(root.file("outer/memory.max"), "1000000\n");
    write(root.file("outer/memory.current"), "900000\n");
    write(root.file("outer/memory.stat"),
          "anon 300000\nfile 600000\ninactive_file 500000\nactive_file 100000\n");
    write(root.file("outer/inner/memory.max"), "5000000\n");
    write(root.file("outer/inner/cpu.max"), "150000 100000\n");
    write(root.file("cpu.max"), "max 100000\n");
    const auto limits = [&](const char* group) {
      return cgroup_limits(root.path(), {.unified = group, .memory = "", .cpu = ""});
    };
    CHECK(limits("/").memory_left == UINT64_MAX);
    CHECK(limits("").memory_left == UINT64_MAX);
    CHECK(limits("/outer").memory_left == 700000);
    const CgroupLimits inner = limits("/outer/inner");
    CHECK(inner.memory_left == 700000);
    CHECK(inner.cores == 1.5);
    write(root.file("outer/memory.current"), "2000000\n");
    CHECK(limits("/outer/inner").memory_left == 0);
    write(root.file("outer/memory.current"), "900000\n");
    write(root.file("outer/inner/memory.high"), "400000\n");
    CHECK(limits("/outer/inner").memory_left == 400000);
  }
  SUBCASE("version 1") {
    write(root.file("memory/memory.limit_in_bytes"), "1000\n");
    write(root.file("memory/memory.usage_in_bytes"), "600\n");
    write(root.file("memory/memory.stat"), "inactive_file 1\ntotal_inactive_file 50\n");
    write(root.file("cpu/cpu.cfs_quota_us"), "200000\n");
    write(root.file("cpu/cpu.cfs_period_us"), "100000\n");
    CHECK(cgroup_limits(root.path(), CgroupNames{}).memory_left == 450);
    CHECK(cgroup_limits(root.path(), CgroupNames{}).cores == 2);
    write(root.file("cpu/cpu.cfs_quota_us"), "-1\n");
    CHECK(cgroup_limits(root.path(), CgroupNames{}).cores > 1e6);
    write(root.file("memory/box/one/memory.limit_in_bytes"), "700\n");
    write(root.file("memory/box/one/memory.usage_in_bytes"), "300\n");
    write(root.file("cpu/box/cpu.cfs_quota_us"), "50000\n");
    write(root.file("cpu/box/cpu.cfs_period_us"), "100000\n");
    const CgroupNames names{.unified = "/", .memory = "/box/one", .cpu = "/box/two"};
    CHECK(cgroup_limits(root.path(), names).memory_left == 400);
    CHECK(cgroup_limits(root.path(), names).cores == 0.5);
  }
  SUBCASE("none") {
    const CgroupNames names{.unified = "/any/where", .memory = "/any", .cpu = "/where"};
    CHECK(cgroup_limits(root.path(), names).memory_left == UINT64_MAX);
    CHECK(cgroup_limits(root.path(), names).cores > 1e6);
  }
}

TEST_CASE("a process finds its control groups of both versions") {
  std::istringstream lines(
      "11:cpuset:/\n4:memory,hugetlb:/box/one\n3:cpu,cpuacct:/box/two\n1:name=systemd:/x\n0::/unified.slice\n"
      "nonsense\n");
  const CgroupNames names = parse_cgroup_names(lines);
  CHECK(names.unified == "/unified.slice");
  CHECK(names.memory == "/box/one");
  CHECK(names.cpu == "/box/two");
}

TEST_CASE(
    "what a profile depends on is the processor and how it is used, not what changes from moment to moment") {
  const TemporaryDirectory root;
  const auto cpuinfo = [&](const std::string& model, const char* mhz) {
    const std::string one = "processor : 0\nmodel name\t: " + model + "\ncpu MHz\t\t: " + mhz + "\n\n";
    write(root.file("proc/cpuinfo"), one + one);
  };
  cpuinfo("Small Core 7", "1400.0");
  const std::string before = hardware_text(root.path() + "/");
  CHECK(before.find("Small Core 7") != std::string::npos);
  cpuinfo("Small Core 7", "600.0");
  CHECK(hardware_text(root.path() + "/") == before);
  cpuinfo("Large Core 9", "600.0");
  const std::string other = hardware_text(root.path() + "/");
  CHECK(other != before);
  write(root.file("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"), "1800000\n");
  CHECK(hardware_text(root.path() + "/") != other);

  const std::uint64_t key = profile_key(before, "neon", 4);
  CHECK(key == profile_key(before, "neon", 4));
  CHECK(key != profile_key(other, "neon", 4));
  CHECK(key != profile_key(before, "neon", 2));
  CHECK(key != profile_key(before, "scalar", 4));
}

TEST_CASE("the largest cache counts, and what a profile touches is beyond it where there is memory enough") {
  const TemporaryDirectory root;
  CHECK(largest_cache(root.path() + "/") == 0);
  write(root.file("sys/devices/system/cpu/cpu0/cache/index0/size"), "32K\n");
  write(root.file("sys/devices/system/cpu/cpu0/cache/index2/size"), "2M\n");
  write(root.file("sys/devices/system/cpu/cpu0/cache/index3/size"), "16384K\n");
  CHECK(largest_cache(root.path() + "/") == 16 << 20);
  CHECK(profile_working_set(16 << 20, 1ull << 30) == 32 << 20);
  CHECK(profile_working_set(1 << 20, 1ull << 30) >= 16 << 20);
  CHECK(profile_working_set(16 << 20, 64 << 20) == 16 << 20);
  CHECK(profile_working_set(1ull << 30, 1ull << 40) <= 256 << 20);
}

TEST_CASE("heat is read where the system tells of it") {
  const TemporaryDirectory root;
  const auto heat = [&] { return read_heat(root.path()); };
  CHECK(heat() == Heat{});
  write(root.file("class/thermal/thermal_zone0/temp"), "48312\n");
  write(root.file("class/thermal/thermal_zone1/temp"), "61500\n");
  write(root.file("class/thermal/thermal_zone2/temp"), "-274000\n");  // a sensor that is not there
  write(root.file("devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq"), "2400000\n");
  write(root.file("devices/system/cpu/cpufreq/policy0/scaling_max_freq"), "1500000\n");
  CHECK(heat().celsius == doctest::Approx(61.5));
  CHECK(heat().clock_share == doctest::Approx(0.625));
  CHECK_FALSE(heat().throttled);  // somebody may want it that slow
  SUBCASE("the kernel cools the processor") {
    write(root.file("class/thermal/cooling_device0/type"), "pwm-fan\n");
    write(root.file("class/thermal/cooling_device0/cur_state"), "3\n");
    CHECK_FALSE(heat().throttled);
    write(root.file("class/thermal/cooling_device1/type"), "cpufreq-cpu0\n");
    write(root.file("class/thermal/cooling_device1/cur_state"), "2\n");
    CHECK(heat().throttled);
  }
  SUBCASE("a Raspberry Pi's firmware slows it down") {
    const std::string flags = root.file("devices/platform/soc/soc:firmware/get_throttled");
    write(flags, "50000\n");  // it did once
    CHECK_FALSE(heat().throttled);
    write(flags, "50004\n");
    CHECK(heat().throttled);
  }
}

TEST_CASE("a port that accepts connections is told from one that does not") {
  std::uint16_t port = 0;
  {
    const Listener listener;
    port = listener.port;
    CHECK(accepts_connections("127.0.0.1", port, 500));
  }
  CHECK_FALSE(accepts_connections("127.0.0.1", port, 500));
  CHECK_FALSE(accepts_connections("no-such-host.invalid", port, 500));
}

TEST_CASE("host and port are read from what people write") {
  const auto parsed = [](const char* text) {
    const Result<Endpoint> result = parse_hub_address(text);
    return result ? result->host + " " + std::to_string(result->port) : result.error().message();
  };
  CHECK(parsed("192.168.1.10:7171") == "192.168.1.10 7171");
  CHECK(parsed("tcp://hub.local:1") == "hub.local 1");
  CHECK(parsed("[::1]:65535") == "::1 65535");
  for (const char* text : {"", ":", "hub", "hub:", ":7171", "hub:0", "hub:65536", "hub:-1", "hub:+5",
                           "hub:71x", "hub: 71", "[]:7171", "tcp://:5"}) {
    CAPTURE(text);
    CHECK(parsed(text).find("is no host:port") != std::string::npos);
  }
}

}  // namespace shoal
