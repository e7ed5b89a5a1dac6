#include "worker/joining.h"

#include "base/log.h"
#include "transport/limits.h"
#include "worker/device_facts.h"

namespace shoal {
namespace {

constexpr Duration kTokenPatience =
    std::chrono::seconds(6);  // a hub that accepts connections has answered a valid token by then
constexpr int kProbeMs = 500;

Time now() { return SteadyClock().now(); }

// Sends the request whenever the lane comes up and waits for the answer.
Result<JoinReply> ask_to_join(ZmqNetwork& network, const Endpoint& hub, const WorkerOptions& options,
                              const JoinRequest& request, const std::atomic<bool>& stop) {
  const Time start = now();
  Time reachable_since{};
  bool said_waiting = false;
  std::vector<NetworkEvent> events;
  while (!stop) {
    events.clear();
    network.wait(kTick * 5, events);
    for (NetworkEvent& event : events) {
      if (const auto* up = std::get_if<PeerUp>(&event); up && up->lane == Lane::Join)
        (void)network.send(kHub, Lane::Join, request);
      if (auto* received = std::get_if<Received>(&event)) {
        if (auto* reply = std::get_if<JoinReply>(&received->message)) return std::move(*reply);
      }
    }
    if (now() - start < kTokenPatience) continue;
    if (reachable_since == Time{} && accepts_connections(hub.host, hub.port, kProbeMs))
      reachable_since = now();
    if (reachable_since == Time{} && !said_waiting) {  // nobody should look at a silent screen for a minute
      said_waiting = true;
      log_warn("hub_not_reached", {{"hub", options.hub}, {"note", "nothing listens there yet; trying on"}});
    }
    if (reachable_since != Time{} && now() - reachable_since > kTokenPatience) {
      return fail(ErrorCode::InvalidArgument,
                  "the hub at " + options.hub +
                      " answers but does not accept this join token: use the one it "
                      "printed (or its token file); if it was given to another hub, it is of no use here");
    }
    if (reachable_since == Time{} && now() - start > options.join_patience) {
      return fail(ErrorCode::Unavailable, "nothing answers at " + options.hub +
                                              ": is the coordinator running there, and its join port open?");
    }
  }
  return fail(ErrorCode::Unavailable, "stopped while joining");
}

}  // namespace

Result<Endpoint> parse_hub_address(const std::string& text) {
  Result<Endpoint> endpoint = parse_endpoint(text.starts_with("tcp://") ? text : "tcp://" + text);
  if (endpoint && endpoint->port != 0) return endpoint;
  return fail(ErrorCode::InvalidArgument, "\"" + text + "\" is no host:port (for example 192.168.1.10:7171)");
}

Result<Joined> join_hub(const WorkerOptions& options, const KeyPair& keys, const std::string& name,
                        const std::atomic<bool>& stop) {
  const Result<Endpoint> hub = parse_hub_address(options.hub);
  if (!hub) return fail(hub.error());
  Joined joined;
  joined.listen_host = options.listen_host;
  if (joined.listen_host.empty()) {
    Result<std::string> address = local_address_towards(*hub);
    if (!address) return fail(address.error());
    joined.listen_host = *std::move(address);
  }
  Result<std::unique_ptr<ZmqNetwork>> network = ZmqNetwork::open({.role = ZmqOptions::Role::Worker,
                                                                  .keys = keys,
                                                                  .join_keys = join_key_pair(options.token),
                                                                  .host = joined.listen_host});
  if (!network) return fail(network.error());
  joined.network = *std::move(network);

  const std::string& hub_key = options.token.hub_public_key;
  if (Status up = joined.network->connect(kHub, Lane::Join, to_string(*hub), hub_key); !up)
    return fail(up.error());
  const JoinRequest request{.public_key = keys.public_key, .name = name};
  Result<JoinReply> reply = ask_to_join(*joined.network, *hub, options, request, stop);
  if (!reply) return fail(reply.error());
  if (!reply->admitted)
    return fail(ErrorCode::InvalidArgument, "the hub does not admit this worker: " + reply->reason);
  joined.reply = *std::move(reply);
  joined.network->disconnect(kHub, Lane::Join);

  if (Status admitted = joined.network->admit(kHub, hub_key); !admitted) return fail(admitted.error());
  const std::pair<Lane, std::uint16_t> lanes[] = {{Lane::Data, joined.reply.data_port},
                                                  {Lane::Bulk, joined.reply.bulk_port},
                                                  {Lane::Control, joined.reply.control_port}};
  for (const auto& [lane, port] : lanes) {
    if (Status up = joined.network->connect(kHub, lane, to_string(endpoint_of(hub->host, port)), hub_key);
        !up)
      return fail(up.error());
  }
  return joined;
}

}  // namespace shoal
