#pragma once

#include <atomic>
#include <cstdint>
#include <queue>
#include <random>
#include <string>
#include <vector>

#include "lab/link.h"

namespace shoal {

// Switches Ethernet frames between test hosts and holds each back for as long as its directed link would.
// Links can be changed or cut while traffic flows, through the control socket (control.h). One thread.
class LabSwitch {
 public:
  // Every link begins as `usual`.
  LabSwitch(int hosts, const LabLink& usual);
  ~LabSwitch();
  LabSwitch(const LabSwitch&) = delete;
  LabSwitch& operator=(const LabSwitch&) = delete;

  LabLink& link(int from, int to) { return links_[index(from, to)].link; }
  // Lines of "FROM TO option...", FROM and TO numbers or *; empty lines and those that begin with # are
  // passed over.
  Status read_links(const std::string& path);

  Status make_hosts();
  // Until a "down" command, SIGTERM or SIGINT. Prints "ready" once frames flow. Errors: the control socket.
  Status serve();

  // Carries one command out and returns the reply; false in `goes_on` for "down".
  std::string command(const std::string& text, bool& goes_on);

 private:
  struct Directed {
    LabLink link;
    LabWire wire;
    std::uint64_t frames = 0, bytes = 0, dropped = 0;
  };
  struct Frame {
    Time due;
    std::uint64_t number;
    int to;
    std::vector<char> data;
  };
  struct Later {
    bool operator()(const Frame& a, const Frame& b) const {
      return a.due != b.due ? a.due > b.due : a.number > b.number;
    }
  };

  std::size_t index(int from, int to) const { return static_cast<std::size_t>(from * hosts_ + to); }
  std::vector<int> pick(const std::string& word) const;
  Status change(const std::vector<std::string>& words, std::size_t first);
  std::string statistics() const;
  void drain_tap(int from);
  void hand_on(int from, int to, const char* frame, std::size_t size, Time now);
  void deliver_due();
  void arm(int timer) const;

  int hosts_;
  std::vector<int> taps_;
  std::vector<Directed> links_;
  std::priority_queue<Frame, std::vector<Frame>, Later> queue_;
  std::uint64_t frames_taken_ = 0;
  std::mt19937 random_{20261121};
};

}  // namespace shoal
