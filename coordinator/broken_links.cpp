#include "coordinator/broken_links.h"

#include <algorithm>

#include "base/log.h"

namespace shoal {
namespace {

using Link = std::pair<DeviceId, DeviceId>;

Link link_of(DeviceId a, DeviceId b) { return raw(a) < raw(b) ? Link(a, b) : Link(b, a); }

std::string name_of(const ClusterState& state, DeviceId device) {
  return device == kHub ? "the hub" : state.members.at(device).name;
}

std::vector<Link> links_of(const PlanVersion& version) {
  std::vector<Link> links;
  DeviceId at = kHub;
  for (std::size_t stage = 0; stage <= version.plan.stages.size(); ++stage) {
    const DeviceId to = stage < version.plan.stages.size() ? version.device_of(stage) : kHub;
    if (to != at) links.push_back(link_of(at, to));
    at = to;
  }
  return links;
}

}  // namespace

void mark_broken(ClusterState& state, DeviceId a, DeviceId b) {
  if (a == b) return;
  state.doubted_at = state.awake_at;
  if (!state.broken_links.insert(link_of(a, b)).second) return;
  log_warn("link_broken", {{"between", a}, {"and", b}});
}

bool mark_working(ClusterState& state, DeviceId a, DeviceId b) {
  return state.broken_links.erase(link_of(a, b)) > 0;
}

void forget_broken_links_of(ClusterState& state, DeviceId device) {
  std::erase_if(state.broken_links,
                [&](const Link& link) { return link.first == device || link.second == device; });
}

bool is_broken(const ClusterState& state, DeviceId a, DeviceId b) {
  return state.broken_links.contains(link_of(a, b));
}

std::string broken_link_in(const ClusterState& state, const PlanVersion& version) {
  const std::vector<Link> links = links_of(version);
  const auto broken =
      std::ranges::find_if(links, [&](const Link& link) { return state.broken_links.contains(link); });
  if (broken == links.end()) return "";
  return "the link between " + name_of(state, broken->first) + " and " + name_of(state, broken->second) +
         " is broken";
}

void mark_links_working(ClusterState& state, const PlanVersion& version) {
  for (const Link& link : links_of(version)) state.broken_links.erase(link);
}

}  // namespace shoal
