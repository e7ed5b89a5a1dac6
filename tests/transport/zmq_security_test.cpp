#include "tests/transport/raw_peer.h"
#include "tests/transport/zmq_node.h"
#include "transport/limits.h"
#include "transport/zap.h"
#include "transport/zmq_state.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;
constexpr DeviceId kOne{1};

struct HubAndKey {
  ZmqOptions options = hub_options();
  ZmqNode hub{options};
  KeyPair known = make_key_pair();
  HubAndKey() { REQUIRE(hub.network->admit(kOne, known.public_key)); }

  // Whether a peer with these keys gets through to this lane within a moment.
  bool lets_in(Lane lane, const KeyPair& keys, const std::string& server_key) {
    RawPeer peer(hub.endpoint(lane), RawPeer::Curve{keys, server_key});
    return run_until(
        {&hub}, [&] { return peer.is_up(); }, milliseconds(300));
  }
};

}  // namespace

TEST_CASE("each lane lets in the keys that belong there and no others") {
  HubAndKey t;
  const KeyPair unknown = make_key_pair();
  for (Lane lane : {Lane::Control, Lane::Data, Lane::Bulk}) {
    CAPTURE(name_of(lane));
    CHECK(t.lets_in(lane, t.known, t.hub.keys.public_key));
    CHECK_FALSE(t.lets_in(lane, unknown, t.hub.keys.public_key));
    CHECK_FALSE(
        t.lets_in(lane, *t.options.join_keys, t.hub.keys.public_key));  // the token is for joining alone
  }
  CHECK(t.lets_in(Lane::Join, *t.options.join_keys, t.hub.keys.public_key));
  CHECK_FALSE(t.lets_in(Lane::Join, t.known, t.hub.keys.public_key));  // the right key in the wrong role
  CHECK_FALSE(t.lets_in(Lane::Join, unknown, t.hub.keys.public_key));
  CHECK(t.hub.network->refused_connections() >= 8);
}

TEST_CASE("who expects another hub's key does not connect") {
  HubAndKey t;
  CHECK_FALSE(t.lets_in(Lane::Control, t.known, make_key_pair().public_key));
}

TEST_CASE("peers without CURVE are turned away") {
  HubAndKey t;
  for (Lane lane : {Lane::Join, Lane::Control, Lane::Data, Lane::Bulk}) {
    RawPeer null_peer(t.hub.endpoint(lane), RawPeer::Null{});
    RawPeer plain_peer(t.hub.endpoint(lane), RawPeer::Plain{});
    for (RawPeer* peer : {&null_peer, &plain_peer}) {
      peer->send({"anything"});
      CHECK_FALSE(run_until(
          {&t.hub}, [&] { return peer->is_up(); }, milliseconds(100)));
    }
  }
  CHECK(t.hub.events.empty());
}

TEST_CASE("a refused worker is told that its key was refused, and goes on trying until it is admitted") {
  ZmqNode hub(hub_options());
  ZmqNode worker(worker_options());
  REQUIRE(worker.network->connect(kHub, Lane::Control, hub.endpoint(Lane::Control), hub.keys.public_key));
  REQUIRE(run_until({&hub, &worker}, [&] { return worker.count<PeerDown>() == 1; }));
  CHECK(worker.all<PeerDown>()[0]->reason == "it refused our key");
  CHECK(worker.all<PeerDown>()[0]->key_refused);
  CHECK_FALSE(worker.all<PeerDown>()[0]->refused);
  run_for({&hub, &worker}, milliseconds(200));
  CHECK(worker.count<PeerDown>() == 1);
  REQUIRE(hub.network->admit(kOne, worker.keys.public_key));
  CHECK(run_until({&hub, &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
}

TEST_CASE("a revoked key says nothing more from that moment on, and its connection is cut") {
  HubAndKey t;
  ZmqOptions options = worker_options();
  options.keys = t.known;
  ZmqNode worker(options);
  REQUIRE(worker.network->connect(kHub, Lane::Control, t.hub.endpoint(Lane::Control), t.hub.keys.public_key));
  REQUIRE(run_until({&t.hub, &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
  REQUIRE(worker.network->send(kHub, Lane::Control, Beat{}));
  REQUIRE(run_until({&t.hub}, [&] { return t.hub.received<Beat>().size() == 1; }));

  for (int i = 0; i < 10; ++i) REQUIRE(worker.network->send(kHub, Lane::Control, Beat{}));  // on their way
  REQUIRE(t.hub.network->send(kOne, Lane::Control, Refused{"revoked"}));
  t.hub.network->revoke(kOne);
  const auto start = std::chrono::steady_clock::now();
  CHECK_FALSE(t.hub.network->send(kOne, Lane::Control, Welcome{}));
  REQUIRE(run_until({&t.hub, &worker}, [&] { return worker.count<PeerDown>() == 1; }));
  const auto took = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start);
  MESSAGE("cut after " << took.count() << " ms");
  CHECK(took < milliseconds(1000));
  CHECK(worker.received<Refused>().size() == 1);  // it still reads why
  run_for({&t.hub, &worker}, milliseconds(200));
  CHECK(t.hub.received<Beat>().size() == 1);
  CHECK_FALSE(worker.is_up(kHub, Lane::Control));
  // That the way back is closed for it is news as well, told once.
  REQUIRE(run_until({&t.hub, &worker}, [&] { return worker.count<PeerDown>() == 2; }));
  CHECK_FALSE(worker.all<PeerDown>()[0]->key_refused);
  CHECK(worker.all<PeerDown>()[1]->key_refused);
  run_for({&t.hub, &worker}, milliseconds(200));
  CHECK(worker.count<PeerDown>() == 2);

  REQUIRE(t.hub.network->admit(kOne, t.known.public_key));
  CHECK(run_until({&t.hub, &worker}, [&] { return worker.is_up(kHub, Lane::Control); }));
}

TEST_CASE("a device admitted with another key is no longer known by the first") {
  HubAndKey t;
  const KeyPair other = make_key_pair();
  REQUIRE(t.hub.network->admit(kOne, other.public_key));
  CHECK(t.lets_in(Lane::Control, other, t.hub.keys.public_key));
  CHECK_FALSE(t.lets_in(Lane::Control, t.known, t.hub.keys.public_key));
  CHECK_FALSE(t.hub.network->admit(DeviceId{2}, other.public_key));
}

TEST_CASE(
    "garbage is counted once, then that key's frames on the lane are dropped unread until it is admitted "
    "anew") {
  HubAndKey t;
  RawPeer peer(t.hub.endpoint(Lane::Control), RawPeer::Curve{t.known, t.hub.keys.public_key});
  REQUIRE(run_until({&t.hub}, [&] { return peer.is_up(); }));
  SUBCASE("no message at all") { peer.send({"garbage that is long enough"}); }
  SUBCASE("empty") { peer.send({""}); }
  SUBCASE("many frames") { peer.send(std::vector<std::string>(5000, "x")); }
  SUBCASE("a message for the other side") { peer.send({RawPeer::header_of(Welcome{})}); }
  SUBCASE("a message of another lane") { peer.send({RawPeer::header_of(Ping{})}); }
  REQUIRE(run_until({&t.hub}, [&] { return t.hub.count<Malformed>() == 1; }));
  CHECK(t.hub.all<Malformed>()[0]->from == kOne);
  for (int i = 0; i < 20; ++i) peer.send({i % 2 ? "garbage" : RawPeer::header_of(Beat{})});
  REQUIRE(run_until({&t.hub}, [&] { return t.hub.network->rejected_frames() == 21; }));
  CHECK(t.hub.count<Malformed>() == 1);
  CHECK(t.hub.count<Received>() == 0);
  REQUIRE(t.hub.network->admit(kOne, t.known.public_key));
  peer.send({RawPeer::header_of(Beat{})});
  CHECK(run_until({&t.hub}, [&] { return t.hub.received<Beat>().size() == 1; }));
}

TEST_CASE("of a message larger than any, no more than its first frame is kept") {
  ZmqContext context;
  Result<ZmqSocket> from = ZmqSocket::open(context, ZmqKind::Pair);
  Result<ZmqSocket> to = ZmqSocket::open(context, ZmqKind::Pair);
  REQUIRE((from && to));
  REQUIRE(to->bind("inproc://large"));
  REQUIRE(from->connect("inproc://large"));
  const std::vector<std::byte> chunk(kMaxPayloadChunkBytes);
  const auto send = [&](std::size_t num_frames, std::size_t bytes) {
    for (std::size_t i = 0; i < num_frames; ++i)
      REQUIRE(from->send(ZmqFrame::copy_of(Bytes(chunk).first(bytes)), i + 1 < num_frames) ==
              ZmqSocket::Sent::Yes);
  };
  ReceivedFrames received;
  SUBCASE("in bytes") { send(kMaxPayloadFrames + 10, kMaxPayloadChunkBytes); }
  SUBCASE("in frames") { send(kMaxPayloadFrames + 3, 1); }
  REQUIRE(receive_frames(*to, received));
  CHECK(received.too_large);
  CHECK(received.frames.size() == 1);
  send(kMaxPayloadFrames + 2, 1);
  REQUIRE(receive_frames(*to, received));
  CHECK_FALSE(received.too_large);
  CHECK(received.frames.size() == kMaxPayloadFrames + 2);
}

TEST_CASE("a frame larger than the lane allows ends the connection before it is read") {
  HubAndKey t;
  for (const auto& [lane, limit] :
       {std::pair(Lane::Control, kMaxControlBytes), std::pair(Lane::Data, kMaxPayloadChunkBytes)}) {
    RawPeer peer(t.hub.endpoint(lane), RawPeer::Curve{t.known, t.hub.keys.public_key});
    REQUIRE(run_until({&t.hub}, [&] { return peer.is_up(); }));
    peer.send({std::string(limit + 200, 'x')});
    CHECK(run_until({&t.hub}, [&] { return !peer.is_up(); }));
  }
  CHECK(t.hub.count<Received>() == 0);
}

TEST_CASE("the ZAP desk denies by default and knows a connection of an earlier admission") {
  ZapDesk desk;
  const KeyPair keys = make_key_pair();
  const std::vector<std::byte> zeros(32);
  CHECK_FALSE(desk.judge("control", "CURVE", zeros));
  CHECK_FALSE(desk.judge("join", "CURVE", zeros));
  CHECK_FALSE(desk.judge("", "NULL", {}));
  CHECK_FALSE(desk.identify("1.1"));
  REQUIRE(desk.admit(kOne, keys.public_key));
  CHECK_FALSE(desk.identify("1.0"));
  for (const char* bad : {"", "1", "1.", ".1", "x.1", "1.x", "99999999999.1", "2.1", "join"})
    CHECK_FALSE(desk.identify(bad));
  CHECK(desk.identify("1.1")->device == kOne);
}

}  // namespace shoal
