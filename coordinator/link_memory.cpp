#include "coordinator/link_memory.h"

#include "coordinator/cluster_state.h"
#include "transport/endpoint.h"

namespace shoal {
namespace {

std::string key_of(const Member* member) { return member ? member->public_key : ""; }

std::string host_of(const Member* member) {
  if (!member) return "";
  const Result<Endpoint> inbox = parse_endpoint(member->hello.inbox);
  return inbox ? inbox->host : "";
}

}  // namespace

std::optional<LinkMeasurement> KnownLinks::find(const Member* from, const Member* to) const {
  const auto found = links_.find({key_of(from), key_of(to)});
  if (found == links_.end()) return std::nullopt;
  const RememberLinks::Link& link = found->second;
  if (link.from_host != host_of(from) || link.to_host != host_of(to)) return std::nullopt;
  return LinkMeasurement{.to = to ? to->id : kHub,
                         .latency_seconds = link.latency_seconds,
                         .bytes_per_second = link.bytes_per_second};
}

RememberLinks links_to_remember(const ClusterState& state, const Member* from, const LinkReport& report) {
  RememberLinks remember;
  for (const LinkMeasurement& link : report.links) {
    const auto member = state.members.find(link.to);
    if (link.to != kHub && member == state.members.end()) continue;
    const Member* to = link.to == kHub ? nullptr : &member->second;
    remember.links.push_back({.from_key = key_of(from),
                              .to_key = key_of(to),
                              .from_host = host_of(from),
                              .to_host = host_of(to),
                              .latency_seconds = link.latency_seconds,
                              .bytes_per_second = link.bytes_per_second});
  }
  return remember;
}

bool recall_links(ClusterState& state, Member& member) {
  bool all_known = true;
  const auto recall = [&](Member& from, const Member* to) {
    const std::optional<LinkMeasurement> link = state.known_links.find(&from, to);
    from.links.erase(to ? to->id : kHub);
    if (link) from.links[link->to] = *link;
    all_known = all_known && link.has_value();
  };
  member.links.clear();
  member.from_hub = state.known_links.find(nullptr, &member);
  all_known = member.from_hub.has_value();
  recall(member, nullptr);
  for (auto& [id, other] : state.members) {
    const bool takes_part = other.online && other.profile && other.excluded.empty();
    if (id == member.id || !takes_part) continue;
    recall(member, &other);
    recall(other, &member);
  }
  return all_known;
}

}  // namespace shoal
