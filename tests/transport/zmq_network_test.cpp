#include "tests/transport/random_messages.h"
#include "tests/transport/zmq_node.h"
#include "transport/limits.h"
#include "transport/wire.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
constexpr DeviceId kOne{1};
constexpr DeviceId kTwo{2};

Hello hello_of(const ZmqNode& node) {
  Hello hello;
  hello.name = "cabinet";
  hello.num_threads = 1;
  hello.inbox = node.endpoint(Lane::Data);
  return hello;
}

// A hub and a worker that know each other, control and data connected both ways.
struct Pair {
  ZmqNode hub{hub_options()};
  ZmqNode worker{worker_options()};

  Pair() {
    REQUIRE(hub.network->admit(kOne, worker.keys.public_key));
    REQUIRE(worker.network->admit(kHub, hub.keys.public_key));
    REQUIRE(worker.network->connect(kHub, Lane::Control, hub.endpoint(Lane::Control), hub.keys.public_key));
    REQUIRE(worker.network->connect(kHub, Lane::Data, hub.endpoint(Lane::Data), hub.keys.public_key));
    REQUIRE(hub.network->connect(kOne, Lane::Data, worker.endpoint(Lane::Data), worker.keys.public_key));
    REQUIRE(run([&] {
      return worker.is_up(kHub, Lane::Control) && worker.is_up(kHub, Lane::Data) &&
             hub.is_up(kOne, Lane::Data);
    }));
    REQUIRE(worker.network->send(kHub, Lane::Control, hello_of(worker)));
    REQUIRE(run([&] { return hub.is_up(kOne, Lane::Control); }));
  }
  bool run(const std::function<bool()>& done, milliseconds limit = std::chrono::seconds(5)) {
    return run_until({&hub, &worker}, done, limit);
  }
};

}  // namespace

TEST_CASE("a worker with the token registers its own key and then reaches every lane") {
  ZmqOptions hub_opts = hub_options();
  const JoinToken token{hub_opts.keys.public_key, {1, 2, 3}};
  hub_opts.join_keys = join_key_pair(token);
  ZmqNode hub(hub_opts);
  ZmqOptions options = worker_options();
  options.join_keys = join_key_pair(*parse_join_token(to_string(token)));
  ZmqNode worker(options);

  REQUIRE(worker.network->connect(kHub, Lane::Join, hub.endpoint(Lane::Join), token.hub_public_key));
  REQUIRE(run_until({&hub, &worker}, [&] { return worker.is_up(kHub, Lane::Join); }));
  REQUIRE(worker.network->send(kHub, Lane::Join,
                               JoinRequest{kProtocolVersion, worker.keys.public_key, "cabinet"}));
  REQUIRE(run_until({&hub, &worker}, [&] { return hub.count<JoinReceived>() == 1; }));
  const JoinReceived joined = *hub.all<JoinReceived>()[0];
  CHECK(joined.request.name == "cabinet");
  REQUIRE(hub.network->admit(kOne, joined.request.public_key));
  REQUIRE(
      hub.network->reply_join(joined.ticket, {true, "", kOne, hub.network->port(Lane::Control),
                                              hub.network->port(Lane::Data), hub.network->port(Lane::Bulk)}));
  CHECK_FALSE(hub.network->reply_join(joined.ticket, {}));
  REQUIRE(run_until({&hub, &worker}, [&] { return worker.received<JoinReply>().size() == 1; }));
  CHECK(worker.received<JoinReply>()[0]->device == kOne);

  worker.network->disconnect(kHub, Lane::Join);
  for (Lane lane : {Lane::Control, Lane::Data, Lane::Bulk}) {
    REQUIRE(worker.network->connect(kHub, lane, hub.endpoint(lane), hub.keys.public_key));
    CHECK(run_until({&hub, &worker}, [&] { return worker.is_up(kHub, lane); }));
  }
  REQUIRE(worker.network->send(kHub, Lane::Control, hello_of(worker)));
  REQUIRE(run_until({&hub, &worker}, [&] { return hub.received<Hello>().size() == 1; }));
  CHECK(hub.all<Received>()[0]->from == kOne);
}

TEST_CASE("every message crosses a real network unchanged") {
  Pair pair;
  REQUIRE(pair.worker.network->connect(kHub, Lane::Bulk, pair.hub.endpoint(Lane::Bulk),
                                       pair.hub.keys.public_key));
  REQUIRE(pair.run([&] { return pair.worker.is_up(kHub, Lane::Bulk); }));
  REQUIRE(
      pair.worker.network->send(kHub, Lane::Bulk, ShardRequest{{}, 0, 1}));  // the hub learns the way back
  REQUIRE(pair.run([&] { return pair.hub.is_up(kOne, Lane::Bulk); }));
  for (std::size_t kind = 2; kind < kNumMessageKinds; ++kind) {
    CAPTURE(kind);
    Random random(kind), again(kind);
    Message message = random_message(kind, random);
    const Lane lane = lane_of(message);
    const bool to_hub = may_receive(message, true);
    ZmqNode& to = to_hub ? pair.hub : pair.worker;
    to.events.clear();
    REQUIRE((to_hub ? pair.worker : pair.hub).network->send(to_hub ? kHub : kOne, lane, std::move(message)));
    REQUIRE(pair.run([&] { return to.count<Received>() == 1; }));
    CHECK(to.all<Received>()[0]->message == random_message(kind, again));
    CHECK(to.all<Received>()[0]->from == (to_hub ? kOne : kHub));
    CHECK(to.all<Received>()[0]->lane == lane);
  }
}

TEST_CASE(
    "the hub's control messages reach the worker, and a Pong goes back on the connection its Ping came on") {
  Pair pair;
  REQUIRE(pair.hub.network->send(kOne, Lane::Control, Welcome{kOne, Epoch{3}}));
  REQUIRE(pair.run([&] { return pair.worker.received<Welcome>().size() == 1; }));

  // Two knows no way to One's inbox of its own.
  ZmqNode two(worker_options());
  REQUIRE(pair.worker.network->admit(kTwo, two.keys.public_key));
  REQUIRE(two.network->admit(kOne, pair.worker.keys.public_key));
  REQUIRE(pair.worker.network->connect(kTwo, Lane::Data, two.endpoint(Lane::Data), two.keys.public_key));
  REQUIRE(run_until({&pair.worker, &two}, [&] { return pair.worker.is_up(kTwo, Lane::Data); }));
  REQUIRE(pair.worker.network->send(kTwo, Lane::Data, Ping{.nonce = 9, .from = kOne, .payload = {}}));
  REQUIRE(run_until({&pair.worker, &two}, [&] { return two.received<Ping>().size() == 1; }));
  CHECK_FALSE(two.network->send(kOne, Lane::Data, StepFrame(std::get<StepFrame>([] {
                                  Random random(1);
                                  return Message(random_step(random, 1, 1, 0));
                                }()))));
  REQUIRE(two.network->send(kOne, Lane::Data, Pong{.nonce = 9, .payload = {}}));
  CHECK(run_until({&pair.worker, &two}, [&] { return pair.worker.received<Pong>().size() == 1; }));
}

TEST_CASE("six megabytes in frames of 256 KB arrive intact, forwarded without a copy") {
  Pair pair;
  Random random(2), again(2);
  REQUIRE(pair.hub.network->send(kOne, Lane::Data, random_step(random, 4, 512, 12288)));
  REQUIRE(pair.run([&] { return pair.worker.received<StepFrame>().size() == 1; }));
  CHECK(*pair.worker.received<StepFrame>()[0] == random_step(again, 4, 512, 12288));
}

TEST_CASE("sending where no connection is says so at once") {
  ZmqNode worker(worker_options());
  const Status sent = worker.network->send(kHub, Lane::Control, Beat{});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().code() == ErrorCode::Unavailable);
  CHECK(worker.network->send(kHub, Lane::Data, Beat{}).error().code() == ErrorCode::InvalidArgument);
}

TEST_CASE("a slow reader fills the queue and the sender is told, without blocking") {
  Pair pair;
  // The worker does not read. 64 KB each fills the kernel's buffers soon.
  int sent = 0;
  Status last;
  for (; sent < 20000; ++sent) {
    last = pair.hub.network->send(kOne, Lane::Data,
                                  Ping{.nonce = 1, .from = kHub, .payload = [] {
                                         std::vector<Payload> payload;
                                         payload.push_back(Payload::owning(std::vector<std::byte>(65536)));
                                         return payload;
                                       }()});
    if (!last) break;
  }
  REQUIRE_FALSE(last);
  CHECK(last.error().code() == ErrorCode::Unavailable);
  CHECK(pair.run([&] { return pair.worker.received<Ping>().size() == static_cast<std::size_t>(sent); }));
}

TEST_CASE("wake() ends a wait from another thread") {
  ZmqNode worker(worker_options());
  worker.network->wake();
  worker.turn(milliseconds(1000));
  CHECK(worker.count<Woken>() == 1);
}

TEST_CASE("a taken port and a foreign address are named with what to do") {
  ZmqNode hub(hub_options());
  ZmqOptions options = hub_options();
  options.control_port = hub.network->port(Lane::Control);
  const auto taken = ZmqNetwork::open(options);
  REQUIRE_FALSE(taken);
  CHECK(taken.error().message() ==
        "control lane: listening on tcp://127.0.0.1:" + std::to_string(options.control_port) +
            ": the port is taken: stop the process that listens there, or choose another port");
  options = hub_options();
  options.host = "192.0.2.1";
  CHECK(ZmqNetwork::open(options).error().message().find("this machine has no such address") !=
        std::string::npos);
}

TEST_CASE("IPv6 addresses in brackets work") {
  ZmqOptions hub_opts = hub_options();
  hub_opts.host = "::1";
  Result<std::unique_ptr<ZmqNetwork>> opened = ZmqNetwork::open(hub_opts);
  if (!opened) {
    MESSAGE("skipped: no IPv6 on this machine: " << opened.error().message());
    return;
  }
  opened = fail(ErrorCode::Internal, "closed");
  ZmqNode hub(hub_opts);
  ZmqNode worker(worker_options());
  REQUIRE(hub.network->admit(kOne, worker.keys.public_key));
  REQUIRE(worker.network->connect(kHub, Lane::Control,
                                  "tcp://[::1]:" + std::to_string(hub.network->port(Lane::Control)),
                                  hub.keys.public_key));
  CHECK(run_until({&hub, &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
}

TEST_CASE("a restarted hub is found again, and nothing queued for the old one reaches the new one") {
  ZmqOptions hub_opts = hub_options();
  auto hub = std::make_unique<ZmqNode>(hub_opts);
  ZmqNode worker(worker_options());
  hub_opts.control_port = hub->network->port(Lane::Control);
  REQUIRE(hub->network->admit(kOne, worker.keys.public_key));
  REQUIRE(
      worker.network->connect(kHub, Lane::Control, hub->endpoint(Lane::Control), hub_opts.keys.public_key));
  REQUIRE(run_until({hub.get(), &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
  hub.reset();
  // The worker has not noticed yet: these are accepted, and lost.
  for (int i = 0; i < 5; ++i) static_cast<void>(worker.network->send(kHub, Lane::Control, Beat{}));
  REQUIRE(run_until({&worker}, [&] { return worker.count<PeerDown>() == 1; }));
  CHECK(worker.all<PeerDown>()[0]->refused);
  CHECK_FALSE(worker.network->send(kHub, Lane::Control, Beat{}));

  ZmqNode again(hub_opts);
  REQUIRE(again.network->admit(kOne, worker.keys.public_key));
  REQUIRE(run_until({&again, &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
  REQUIRE(worker.network->send(kHub, Lane::Control, hello_of(worker)));
  REQUIRE(run_until({&again, &worker}, [&] { return again.count<Received>() > 0; }));
  run_for({&again, &worker}, milliseconds(50));
  CHECK(again.received<Beat>().empty());
  CHECK(again.received<Hello>().size() == 1);
}

TEST_CASE("a second process with the same key replaces the first, whose connection is cut") {
  ZmqNode hub(hub_options());
  const ZmqOptions options = worker_options();
  ZmqNode first(options), second(options);
  REQUIRE(hub.network->admit(kOne, options.keys.public_key));
  const auto join = [&](ZmqNode& node) {
    REQUIRE(node.network->connect(kHub, Lane::Control, hub.endpoint(Lane::Control), hub.keys.public_key));
    REQUIRE(run_until({&hub, &node}, [&] { return node.is_up(kHub, Lane::Control); }));
    REQUIRE(node.network->send(kHub, Lane::Control, hello_of(node)));
  };
  join(first);
  REQUIRE(run_until({&hub}, [&] { return hub.count<PeerUp>() == 1; }));
  join(second);
  REQUIRE(run_until({&hub}, [&] { return hub.count<PeerUp>() == 2; }));
  CHECK(hub.count<PeerDown>() == 1);
  CHECK(run_until({&hub, &first}, [&] { return first.count<PeerDown>() == 1; }));
  REQUIRE(hub.network->send(kOne, Lane::Control, Welcome{kOne, Epoch{}}));
  run_for({&hub, &first, &second}, milliseconds(30));
  CHECK(second.received<Welcome>().size() == 1);
  CHECK(first.received<Welcome>().empty());
}

}  // namespace shoal
