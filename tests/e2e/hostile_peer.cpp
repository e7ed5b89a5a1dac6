// Somebody who should not be listened to, against a running cluster; says what came of it.
//   hostile_peer old-protocol HUB TOKEN            asks to join in a later protocol version: prints the
//   answer hostile_peer join HUB TOKEN KEYFILE            joins as "mallory" and prints the hub's data
//   endpoint and key hostile_peer send ENDPOINT SERVER_KEY KEYFILE garbage|truncated|oversized|stale
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "tests/transport/raw_peer.h"
#include "transport/limits.h"
#include "transport/zmq_network.h"

namespace shoal {
namespace {

bool wait_until(const std::function<bool()>& done, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

int complain(const std::string& what) {
  std::fprintf(stderr, "hostile_peer: %s\n", what.c_str());
  return 1;
}

int ask_to_join(const std::string& hub, const std::string& token_text, const KeyPair& keys,
                std::uint32_t version) {
  const Result<JoinToken> token = parse_join_token(token_text);
  if (!token) return complain(token.error().message());
  ZmqOptions options;
  options.keys = keys;
  options.join_keys = join_key_pair(*token);
  Result<std::unique_ptr<ZmqNetwork>> network = ZmqNetwork::open(options);
  if (!network) return complain(network.error().message());
  (void)(*network)->connect(kHub, Lane::Join, "tcp://" + hub, token->hub_public_key);
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
       std::chrono::steady_clock::now() < end;) {
    std::vector<NetworkEvent> events;
    (*network)->wait(std::chrono::milliseconds(50), events);
    for (NetworkEvent& event : events) {
      if (std::holds_alternative<PeerUp>(event)) {
        (void)(*network)->send(kHub, Lane::Join, JoinRequest{version, keys.public_key, "mallory"});
      } else if (const auto* received = std::get_if<Received>(&event)) {
        const auto& reply = std::get<JoinReply>(received->message);
        const std::string host = hub.substr(0, hub.rfind(':'));
        std::printf("%s\n", reply.admitted ? ("tcp://" + host + ":" + std::to_string(reply.data_port) + " " +
                                              token->hub_public_key)
                                                 .c_str()
                                           : reply.reason.c_str());
        return 0;
      }
    }
  }
  return complain("no answer");
}

std::vector<std::string> frames_of(const std::string& kind) {
  if (kind == "garbage") return {std::string(500, '\x7f'), std::string(90'000, '\xee')};
  CandidatesFrame stale;  // of the first epoch of all
  stale.epoch = Epoch{1};
  stale.groups = {{.sequence = SequenceId{1}, .num_rows = 1}};
  const std::string header = RawPeer::header_of(stale);
  if (kind == "truncated") return {header.substr(0, header.size() / 2)};
  if (kind == "oversized") return {header, std::string(64 << 20, 'x')};
  return {header};
}

int send_frames(const std::string& endpoint, const std::string& server_key, const KeyPair& keys,
                const std::string& kind) {
  RawPeer peer(endpoint, RawPeer::Curve{keys, server_key});
  if (!wait_until([&] { return peer.is_up(); }, std::chrono::seconds(3))) {
    std::printf("not let in\n");
    return 0;
  }
  for (int i = 0; i < 20; ++i) peer.send(frames_of(kind));
  const bool cut = wait_until([&] { return !peer.is_up(); }, std::chrono::seconds(2));
  std::printf(cut ? "cut off\n" : "ignored\n");
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const std::string mode = arguments.empty() ? "" : arguments[0];
  if (mode == "old-protocol" && arguments.size() == 3)
    return ask_to_join(arguments[1], arguments[2], make_key_pair(), kProtocolVersion + 1);
  if ((mode != "join" || arguments.size() != 4) && (mode != "send" || arguments.size() != 5))
    return complain("what is asked for?");
  const Result<KeyPair> keys = load_or_make_key_pair(arguments[3]);
  if (!keys) return complain(keys.error().message());
  if (mode == "join") return ask_to_join(arguments[1], arguments[2], *keys, kProtocolVersion);
  return send_frames(arguments[1], arguments[2], *keys, arguments[4]);
}

}  // namespace
}  // namespace shoal

int main(int count, char** arguments) {
  return shoal::run(std::vector<std::string>(arguments + 1, arguments + count));
}
