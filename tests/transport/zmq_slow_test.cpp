// Real processes and real time: killed peers, latency, half-open connections.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "tests/transport/random_messages.h"
#include "tests/transport/zmq_node.h"
#include "transport/limits.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
using Steady = std::chrono::steady_clock;
constexpr DeviceId kOne{1};
constexpr DeviceId kTwo{2};

// A worker in a process of its own; forked while this process has no other threads.
class WorkerProcess {
 public:
  WorkerProcess() {
    int pipe_ends[2];
    REQUIRE(::pipe(pipe_ends) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) run(pipe_ends[0]);
    ::close(pipe_ends[0]);
    start_ = pipe_ends[1];
  }
  ~WorkerProcess() {
    kill();
    ::close(start_);
  }
  const KeyPair& keys() const { return keys_; }
  void start(const ZmqNode& hub) {
    Start start{hub.network->port(Lane::Control), {}};
    hub.keys.public_key.copy(start.hub_key, sizeof start.hub_key);
    REQUIRE(::write(start_, &start, sizeof start) == sizeof start);
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  struct Start {
    std::uint16_t control_port;
    char hub_key[40];
  };
  [[noreturn]] void run(int start_fd) {
    Start start{};
    if (::read(start_fd, &start, sizeof start) != sizeof start) ::_exit(1);
    const std::string hub_key(start.hub_key, sizeof start.hub_key);
    ZmqOptions options;
    options.keys = keys_;
    Result<std::unique_ptr<ZmqNetwork>> network = ZmqNetwork::open(options);
    if (!network || !(*network)->admit(kHub, hub_key)) ::_exit(1);
    const std::string control = "tcp://127.0.0.1:" + std::to_string(start.control_port);
    if (!(*network)->connect(kHub, Lane::Control, control, hub_key)) ::_exit(1);
    std::vector<NetworkEvent> events;
    for (;;) {
      events.clear();
      (*network)->wait(milliseconds(100), events);
      for (const NetworkEvent& event : events) {
        if (!std::holds_alternative<PeerUp>(event)) continue;
        Hello hello;
        hello.name = "child";
        hello.num_threads = 1;
        hello.inbox = "tcp://127.0.0.1:" + std::to_string((*network)->port(Lane::Data));
        static_cast<void>((*network)->send(kHub, Lane::Control, std::move(hello)));
      }
    }
  }

  KeyPair keys_ = make_key_pair();
  pid_t pid_ = -1;
  int start_ = -1;
};

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

}  // namespace

TEST_CASE("the hub knows within 100 ms that a killed worker is dead, not only silent") {
  std::vector<double> took;
  for (int round = 0; round < 20; ++round) {
    WorkerProcess process;
    ZmqNode hub(hub_options());
    REQUIRE(hub.network->admit(kOne, process.keys().public_key));
    process.start(hub);
    REQUIRE(run_until({&hub}, [&] { return hub.received<Hello>().size() == 1; }));
    const std::string inbox = hub.received<Hello>()[0]->inbox;
    REQUIRE(hub.network->connect(kOne, Lane::Data, inbox, process.keys().public_key));
    REQUIRE(run_until({&hub}, [&] { return hub.is_up(kOne, Lane::Data); }));
    const auto start = Steady::now();
    process.kill();
    REQUIRE(run_until({&hub}, [&] { return hub.count<PeerDown>() >= 1; }));
    took.push_back(std::chrono::duration<double, std::milli>(Steady::now() - start).count());
    REQUIRE(run_until({&hub}, [&] { return hub.count<PeerDown>() == 2; }));
    for (const PeerDown* down : hub.all<PeerDown>()) CHECK(down->refused);
  }
  MESSAGE("kill -9 to PeerDown{refused}: median " << quantile(took, 0.5) << " ms, most " << quantile(took, 1)
                                                  << " ms");
  CHECK(quantile(took, 0.5) < 100);
}

TEST_CASE("a decode step's frame crosses loopback with CURVE in well under a millisecond, usually") {
  ZmqNode one(worker_options()), two(worker_options());
  REQUIRE(one.network->admit(kTwo, two.keys.public_key));
  REQUIRE(two.network->admit(kOne, one.keys.public_key));
  REQUIRE(one.network->connect(kTwo, Lane::Data, two.endpoint(Lane::Data), two.keys.public_key));
  REQUIRE(two.network->connect(kOne, Lane::Data, one.endpoint(Lane::Data), one.keys.public_key));
  REQUIRE(
      run_until({&one, &two}, [&] { return one.is_up(kTwo, Lane::Data) && two.is_up(kOne, Lane::Data); }));
  std::atomic<bool> stop{false};
  std::thread echo([&] {  // from here on `two` is this thread's
    std::vector<NetworkEvent> events;
    while (!stop) {
      events.clear();
      two.network->wait(milliseconds(20), events);
      for (NetworkEvent& event : events) {
        if (auto* received = std::get_if<Received>(&event)) {
          static_cast<void>(two.network->send(kOne, Lane::Data, std::move(received->message)));
        }
      }
    }
  });
  std::vector<double> one_way;
  Random random(1);
  for (int i = 0; i < 2000; ++i) {
    StepFrame step = random_step(random, 1, 1, 2304);
    const auto start = Steady::now();
    REQUIRE(one.network->send(kTwo, Lane::Data, std::move(step)));
    one.events.clear();
    REQUIRE(run_until({&one}, [&] { return one.count<Received>() == 1; }));
    one_way.push_back(std::chrono::duration<double, std::micro>(Steady::now() - start).count() / 2);
  }
  stop = true;
  echo.join();
  MESSAGE("2.3 KB StepFrame one way: median " << quantile(one_way, 0.5) << " us, p99 "
                                              << quantile(one_way, 0.99) << " us");
  CHECK(quantile(one_way, 0.5) < 5000);
}

TEST_CASE("hundreds of connections that never speak do not keep a worker out") {
  ZmqNode hub(hub_options());
  std::vector<int> silent;
  for (int i = 0; i < 300; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(hub.network->port(Lane::Control));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    static_cast<void>(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    silent.push_back(fd);
  }
  ZmqNode worker(worker_options());
  REQUIRE(hub.network->admit(kOne, worker.keys.public_key));
  REQUIRE(worker.network->connect(kHub, Lane::Control, hub.endpoint(Lane::Control), hub.keys.public_key));
  CHECK(run_until({&hub, &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
  for (int fd : silent) ::close(fd);
}

TEST_CASE("connections given up at the moment they break do not stop the network") {
  ZmqNode hub(hub_options());
  for (std::uint32_t round = 0; round < 20; ++round) {
    CAPTURE(round);
    constexpr std::uint32_t kNumDevices = 40;
    ZmqNode worker(worker_options());
    REQUIRE(worker.network->admit(kHub, hub.keys.public_key));
    const auto device = [&](std::uint32_t i) { return DeviceId{100 + round * kNumDevices + i}; };
    for (std::uint32_t i = 0; i < kNumDevices; ++i)
      REQUIRE(
          hub.network->connect(device(i), Lane::Data, worker.endpoint(Lane::Data), worker.keys.public_key));
    REQUIRE(run_until({&hub, &worker}, [&] { return hub.count<PeerUp>() == (round + 1) * kNumDevices; }));
    std::thread death([&] { worker.network.reset(); });
    for (std::uint32_t i = 0; i < kNumDevices; ++i) hub.network->disconnect(device(i), Lane::Data);
    death.join();
  }
  ZmqNode alive(worker_options());
  REQUIRE(alive.network->admit(kHub, hub.keys.public_key));
  REQUIRE(hub.network->connect(kOne, Lane::Data, alive.endpoint(Lane::Data), alive.keys.public_key));
  CHECK(run_until({&hub, &alive}, [&] { return hub.is_up(kOne, Lane::Data); }));
}

}  // namespace shoal
