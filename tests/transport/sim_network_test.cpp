#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <string>

#include "tests/transport/random_messages.h"
#include "transport/limits.h"
#include "transport/sim_network.h"

namespace shoal {
namespace {

using namespace std::chrono_literals;
constexpr DeviceId kOne{1};
constexpr DeviceId kTwo{2};

// A hub and two workers that have admitted one another, and what each was told, with the time.
struct Cluster {
  struct Told {
    Time at;
    NetworkEvent event;
  };
  FakeClock clock;
  SimWorld world;
  std::map<DeviceId, Network*> hosts;
  std::map<DeviceId, std::vector<Told>> told;

  explicit Cluster(std::uint64_t seed = 1) : world(seed, clock) {
    for (DeviceId id : {kHub, kOne, kTwo}) hosts[id] = &world.add_host(id, "host");
    for (auto& [id, host] : hosts) {
      for (auto& [other, unused] : hosts) REQUIRE(host->admit(other, world.public_key_of(other)));
    }
  }
  Network& operator[](DeviceId id) { return *hosts.at(id); }
  void connect(DeviceId from, DeviceId to, Lane lane) {
    REQUIRE(hosts[from]->connect(to, lane, world.endpoint_of(to, lane), world.public_key_of(to)));
  }
  void listen() {
    for (auto& [id, host] : hosts) {
      std::vector<NetworkEvent> events;
      host->wait(Duration::zero(), events);
      for (NetworkEvent& event : events) told[id].push_back({clock.now(), std::move(event)});
    }
  }
  void run_for(Duration time) {
    const Time end = clock.now() + time;
    for (;;) {
      const std::optional<Time> next = world.next_event_time();
      if (!next || *next > end) break;
      world.advance_to(*next);
      listen();
    }
    world.advance_to(end);
  }
  template <typename T>
  std::vector<std::pair<Time, const T*>> all(DeviceId id) {
    std::vector<std::pair<Time, const T*>> found;
    for (const Told& one : told[id]) {
      if (const T* event = std::get_if<T>(&one.event)) found.emplace_back(one.at, event);
    }
    return found;
  }
  void forget() { told.clear(); }
};

Ping ping(std::uint64_t nonce, std::size_t bytes = 0) {
  Ping message;
  message.nonce = nonce;
  if (bytes > 0) message.payload.push_back(Payload::owning(std::vector<std::byte>(bytes)));
  return message;
}
std::uint64_t nonce_of(const Received& received) { return std::get<Ping>(received.message).nonce; }

// A one-line account of everything everybody was told.
std::string transcript(Cluster& cluster) {
  std::string text;
  for (auto& [id, events] : cluster.told) {
    for (const Cluster::Told& one : events) {
      text += std::to_string(raw(id)) + "@" + std::to_string(one.at.time_since_epoch().count()) + ":" +
              std::to_string(one.event.index());
      if (const auto* received = std::get_if<Received>(&one.event))
        text += "=" + std::to_string(nonce_of(*received));
      text += " ";
    }
  }
  return text;
}

std::string rough_day(std::uint64_t seed) {
  Cluster cluster(seed);
  cluster.world.set_every_link({.latency = 2ms, .jitter = 3ms, .bytes_per_second = 5e6, .loss = 0.02});
  cluster.world.set_faults(kOne, kTwo, {.duplicate = 0.1, .reorder = 0.1, .corrupt = 0});
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(100ms);
  for (std::uint64_t i = 0; i < 200; ++i) {
    static_cast<void>(cluster[kOne].send(kTwo, Lane::Data, ping(i, 4 + i * 16)));
    if (i == 100) cluster.world.cut(kOne, kTwo);
    if (i == 120) cluster.world.heal(kOne, kTwo);
    cluster.run_for(3ms);
  }
  cluster.run_for(10s);
  return transcript(cluster);
}

}  // namespace

TEST_CASE("a message takes its turn on the wire, its latency, and arrives whole") {
  Cluster cluster;
  cluster.world.set_every_link({.latency = 5ms, .jitter = 0ms, .bytes_per_second = 1e6, .loss = 0});
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(1s);
  REQUIRE(cluster.all<PeerUp>(kOne).size() == 1);
  const Time start = cluster.clock.now();
  REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(1, 500000)));
  REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(2, 500000)));
  cluster.run_for(3s);
  const auto got = cluster.all<Received>(kTwo);
  REQUIRE(got.size() == 2);
  CHECK(got[0].second->from == kOne);
  CHECK(seconds(got[0].first - start) == doctest::Approx(0.505).epsilon(0.001));
  CHECK(seconds(got[1].first - start) == doctest::Approx(1.005).epsilon(0.001));
}

TEST_CASE("the same seed gives the same day, another seed another") {
  const std::string day = rough_day(7);
  CHECK(day == rough_day(7));
  CHECK(day != rough_day(8));
  CHECK(day.size() > 2000);
}

TEST_CASE("a worker joins, is admitted and greets; the hub answers on its connection") {
  FakeClock clock;
  SimWorld world(1, clock);
  Network& hub = world.add_host(kHub, "hub");
  Network& worker = world.add_host(kOne, "one");
  std::vector<NetworkEvent> at_hub, at_worker;
  const auto run = [&] {
    world.advance_to(clock.now() + 100ms);
    hub.wait(Duration::zero(), at_hub);
    worker.wait(Duration::zero(), at_worker);
    world.advance_to(clock.now() + 100ms);
    hub.wait(Duration::zero(), at_hub);
    worker.wait(Duration::zero(), at_worker);
  };
  const std::string& hub_key = world.public_key_of(kHub);
  REQUIRE(worker.connect(kHub, Lane::Control, world.endpoint_of(kHub, Lane::Control), hub_key));
  run();
  REQUIRE(at_worker.size() == 1);  // not admitted yet
  CHECK(std::get<PeerDown>(at_worker[0]).reason == "it refused our key");
  REQUIRE(worker.connect(kHub, Lane::Join, world.endpoint_of(kHub, Lane::Join), hub_key));
  run();
  REQUIRE(worker.send(kHub, Lane::Join, JoinRequest{kProtocolVersion, world.public_key_of(kOne), "one"}));
  run();
  const auto joined = std::get<JoinReceived>(at_hub.at(0));
  REQUIRE(hub.admit(kOne, joined.request.public_key));
  REQUIRE(hub.reply_join(joined.ticket, {true, "", kOne, 1, 2, 3}));
  for (int i = 0; i < 10; ++i) run();
  at_hub.clear();
  REQUIRE(worker.send(kHub, Lane::Control, Beat{}));
  run();
  CHECK(std::get<PeerUp>(at_hub.at(0)).device == kOne);
  CHECK(std::get<Received>(at_hub.at(1)).from == kOne);
  at_worker.clear();
  REQUIRE(hub.send(kOne, Lane::Control, Welcome{kOne, Epoch{}}));
  run();
  CHECK(std::holds_alternative<Welcome>(std::get<Received>(at_worker.at(0)).message));
}

TEST_CASE("a killed host is refused at once, and its new process is found at its new inbox") {
  Cluster cluster;
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(100ms);
  const std::string old_inbox = cluster.world.endpoint_of(kTwo, Lane::Data);
  const Time killed = cluster.clock.now();
  cluster.world.kill(kTwo);
  cluster.run_for(1s);
  const auto down = cluster.all<PeerDown>(kOne);
  REQUIRE(down.size() == 1);
  CHECK(down[0].second->refused);
  CHECK(down[0].first - killed < 5ms);
  CHECK_FALSE(cluster[kOne].send(kTwo, Lane::Data, ping(1)));

  cluster.hosts[kTwo] = &cluster.world.add_host(kTwo, "two again");
  REQUIRE(cluster[kTwo].admit(kOne, cluster.world.public_key_of(kOne)));
  CHECK(cluster.world.endpoint_of(kTwo, Lane::Data) != old_inbox);
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(1s);
  REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(2)));
  cluster.run_for(100ms);
  CHECK(cluster.all<Received>(kTwo).size() == 1);
}

TEST_CASE("a link cut and healed within the time-out delivers everything late and in order") {
  Cluster cluster;
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(100ms);
  cluster.world.cut(kOne, kTwo);
  for (std::uint64_t i = 0; i < 10; ++i) REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(i)));
  cluster.run_for(3s);
  CHECK(cluster.all<Received>(kTwo).empty());
  cluster.world.heal(kOne, kTwo);
  cluster.run_for(1s);
  const auto got = cluster.all<Received>(kTwo);
  REQUIRE(got.size() == 10);
  for (std::uint64_t i = 0; i < 10; ++i) CHECK(nonce_of(*got[i].second) == i);
  CHECK(cluster.all<PeerDown>(kOne).empty());
}

TEST_CASE("a link cut for longer breaks the connection, drops its queue and reconnects when healed") {
  Cluster cluster;
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(100ms);
  cluster.forget();
  cluster.world.cut_one_way(kTwo, kOne);  // acknowledgements do not return
  REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(1)));
  cluster.world.cut_one_way(kOne, kTwo);
  REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(2)));
  cluster.run_for(8s);
  REQUIRE(cluster.all<PeerDown>(kOne).size() == 1);
  CHECK_FALSE(cluster.all<PeerDown>(kOne)[0].second->refused);
  cluster.world.heal(kOne, kTwo);
  cluster.run_for(3s);
  CHECK(cluster.all<PeerUp>(kOne).size() == 1);
  CHECK(cluster.all<Received>(kTwo).size() <= 1);  // what was held is gone
  for (const auto& [at, received] : cluster.all<Received>(kTwo)) CHECK(nonce_of(*received) == 1);
}

TEST_CASE("a frozen host is silent, and reads everything when it thaws") {
  Cluster cluster;
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(100ms);
  cluster.world.freeze(kTwo);
  int accepted = 0;
  for (int i = 0; i < 1000; ++i) accepted += cluster[kOne].send(kTwo, Lane::Data, ping(1)).has_value();
  CHECK(accepted == kSendHighWater);  // then the queue is full
  cluster.run_for(20s);
  CHECK(cluster.all<PeerDown>(kOne).empty());
  CHECK(cluster.all<Received>(kTwo).empty());
  cluster.world.thaw(kTwo);
  cluster.run_for(1s);
  CHECK(cluster.all<Received>(kTwo).size() == static_cast<std::size_t>(accepted));
}

TEST_CASE("the hub learns at a worker's inbox whether its process is dead") {
  Cluster cluster;
  cluster.connect(kOne, kHub, Lane::Control);
  cluster.connect(kHub, kOne, Lane::Data);
  cluster.run_for(100ms);
  REQUIRE(cluster[kOne].send(kHub, Lane::Control, Beat{}));
  cluster.run_for(100ms);
  cluster.world.kill(kOne);
  cluster.run_for(100ms);
  int refused = 0;
  for (const auto& [at, down] : cluster.all<PeerDown>(kHub)) refused += down->refused;
  CHECK(refused == 2);  // control and data
}

TEST_CASE("corrupted data is malformed once, later frames are dropped unread, and admitting anew forgives") {
  Cluster cluster;
  cluster.connect(kOne, kTwo, Lane::Data);
  cluster.run_for(100ms);
  cluster.world.set_faults(kOne, kTwo, {.duplicate = 0, .reorder = 0, .corrupt = 1});
  for (int i = 0; i < 5; ++i) REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(1, 100)));
  cluster.run_for(100ms);
  CHECK(cluster.all<Malformed>(kTwo).size() == 1);
  CHECK(cluster.all<Received>(kTwo).empty());
  CHECK(cluster[kTwo].rejected_frames() == 5);
  cluster.world.set_faults(kOne, kTwo, {.duplicate = 1, .reorder = 0, .corrupt = 0});
  REQUIRE(cluster[kTwo].admit(kOne, cluster.world.public_key_of(kOne)));
  REQUIRE(cluster[kOne].send(kTwo, Lane::Data, ping(1, 100)));
  cluster.run_for(100ms);
  CHECK(cluster.all<Received>(kTwo).size() == 2);
}

TEST_CASE("a revoked device is cut and stays out until it is admitted again") {
  Cluster cluster;
  cluster.connect(kOne, kHub, Lane::Control);
  cluster.run_for(100ms);
  REQUIRE(cluster[kOne].send(kHub, Lane::Control, Beat{}));
  cluster.run_for(100ms);
  cluster.forget();
  REQUIRE(cluster[kOne].send(kHub, Lane::Control, Beat{}));
  cluster[kHub].revoke(kOne);
  cluster.run_for(2s);
  CHECK(cluster.told[kHub].empty());
  const auto down = cluster.all<PeerDown>(kOne);
  REQUIRE(down.size() == 2);  // the connection broke; a new one is refused
  CHECK_FALSE(down[0].second->key_refused);
  CHECK(down[1].second->key_refused);
  REQUIRE(cluster[kHub].admit(kOne, cluster.world.public_key_of(kOne)));
  cluster.run_for(2s);
  CHECK(cluster.all<PeerUp>(kOne).size() == 1);
}

}  // namespace shoal
