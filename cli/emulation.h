#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/cluster_config.h"

namespace shoal {

// How `shoal up --emulate` turns a config's devices into processes of this one machine. Pure.

// What --emulate-speed says: one speed for all devices, or each its class's share of the fastest one's.
struct SpeedChoice {
  double of_all = 1;
  bool by_class = false;
};
// "0.25", "classes". InvalidArgument: anything else.
Result<SpeedChoice> parse_speed_choice(const std::string& text);

struct Emulation {
  bool with_links = false;   // test hosts of linklab, one a device; else all on 127.0.0.1
  std::vector<int> hosts;    // by device
  int coordinator_host = 0;  // a device's, or one of its own after the devices'
  int num_hosts = 0;
  std::vector<double> speeds;  // by device: the share of this machine's speed at which its worker works
  std::string links;           // linklab's file of links
};

// Plans it, and changes the config to suit: addresses become this machine's or the hosts', a device without
// threads gets one, and one without memory its class's. `cores`: speeds by class are such that all devices at
// work at once keep three quarters of them busy. InvalidArgument: too many devices, or one without a class
// where speeds come from classes.
Result<Emulation> emulate(ClusterConfig& config, SpeedChoice speed, bool with_links, unsigned cores);

}  // namespace shoal
