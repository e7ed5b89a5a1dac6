#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "transport/messages.h"

namespace shoal {

struct ClusterState;
struct Member;

// To be kept over a restart of the hub. Links as devices are known by key, each with the addresses it was
// measured between: a device with another address has another link (a cable in place of Wi-Fi, say).
struct RememberLinks {
  struct Link {
    std::string from_key;  // the hub's key is ""
    std::string to_key;
    std::string from_host;
    std::string to_host;
    double latency_seconds = 0;
    double bytes_per_second = 0;
    friend bool operator==(const Link&, const Link&) = default;
  };
  std::vector<Link> links;
};

// What is known of links, the latest measurement of each. Pure.
class KnownLinks {
 public:
  void insert(const RememberLinks::Link& link) { links_[{link.from_key, link.to_key}] = link; }
  // Nothing if it was never measured, or between other addresses.
  std::optional<LinkMeasurement> find(const Member* from, const Member* to) const;  // null: the hub

 private:
  std::map<std::pair<std::string, std::string>, RememberLinks::Link> links_;
};

// A report of links measured now, from a device or (null) the hub.
RememberLinks links_to_remember(const ClusterState& state, const Member* from, const LinkReport& report);

// Gives a device the links that are known between it, the hub and every device that plans may use; true if
// there is none among them that nobody measured.
bool recall_links(ClusterState& state, Member& member);

}  // namespace shoal
