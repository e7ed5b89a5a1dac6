#include "worker/device_facts.h"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/worker/tiny_shard.h"
#include "worker/cgroup.h"
#include "worker/joining.h"

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
    CHECK(cgroup_limits(root.path(), "/").memory_left == UINT64_MAX);
    CHECK(cgroup_limits(root.path(), "").memory_left == UINT64_MAX);
    CHECK(cgroup_limits(root.path(), "/outer").memory_left == 700000);
    const CgroupLimits inner = cgroup_limits(root.path(), "/outer/inner");
    CHECK(inner.memory_left == 700000);
    CHECK(inner.cores == 1.5);
    write(root.file("outer/memory.current"), "2000000\n");
    CHECK(cgroup_limits(root.path(), "/outer/inner").memory_left == 0);
  }
  SUBCASE("version 1") {
    write(root.file("memory/memory.limit_in_bytes"), "1000\n");
    write(root.file("memory/memory.usage_in_bytes"), "600\n");
    write(root.file("memory/memory.stat"), "inactive_file 1\ntotal_inactive_file 50\n");
    write(root.file("cpu/cpu.cfs_quota_us"), "200000\n");
    write(root.file("cpu/cpu.cfs_period_us"), "100000\n");
    CHECK(cgroup_limits(root.path(), "").memory_left == 450);
    CHECK(cgroup_limits(root.path(), "").cores == 2);
    write(root.file("cpu/cpu.cfs_quota_us"), "-1\n");
    CHECK(cgroup_limits(root.path(), "").cores > 1e6);
  }
  SUBCASE("none") {
    CHECK(cgroup_limits(root.path(), "/any/where").memory_left == UINT64_MAX);
    CHECK(cgroup_limits(root.path(), "/any/where").cores > 1e6);
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
