// linklab: test hosts on one machine, joined by links whose delay, rate and loss you choose.
#include <sched.h>
#include <sys/prctl.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <vector>

#include "lab/control.h"
#include "lab/door.h"
#include "lab/hosts.h"
#include "lab/lab_switch.h"

namespace shoal {
namespace {

constexpr const char* kHelp =
    "Test hosts on one machine: network namespaces lab-0, lab-1, ... with addresses 10.77.0.10, 10.77.0.11, "
    "...,\n"
    "joined by links whose delay, rate and loss you choose. Needs root. One lab at a time on a machine.\n"
    "\n"
    "  linklab up N [OPTION...] [links=FILE]   make N hosts, print \"ready\", serve until stopped\n"
    "  linklab set I J OPTION...               change the link I->J; * means every host\n"
    "  linklab cut I J | heal I J              drop every frame I->J, or stop dropping\n"
    "  linklab stats                           frames, bytes and drops per directed pair\n"
    "  linklab door PORT I                     127.0.0.1:PORT here leads to 127.0.0.1:PORT on host I\n"
    "  linklab down                            stop the lab and remove its hosts\n"
    "\n"
    "OPTION: delay=2ms  jitter=1ms  rate=100mbit  loss=0.01 (a probability)  queue=200ms (longest wait for "
    "the wire)\n"
    "FILE: lines of I J OPTION...\n"
    "Run a program on a host with   ip netns exec lab-I COMMAND\n";

int misuse() {
  std::fputs(kHelp, stderr);
  return 2;
}

int report(const Status& done, int status = 1) {
  if (done) return 0;
  std::fprintf(stderr, "linklab: %s\n", done.error().message().c_str());
  return status;
}

std::optional<int> number(const std::string& text, int least, int most) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_one =
      error == std::errc() && end == text.data() + text.size() && value >= least && value <= most;
  return is_one ? std::optional(value) : std::nullopt;
}

// A late switch would look like a slow link.
void be_punctual() {
  ::prctl(PR_SET_TIMERSLACK, 1000);
  const sched_param priority{1};
  (void)!::sched_setscheduler(0, SCHED_FIFO, &priority);
}

int up(const std::vector<std::string>& words) {
  const std::optional<int> hosts = words.size() > 1 ? number(words[1], 1, kMostHosts) : std::nullopt;
  if (!hosts) return misuse();
  LabLink usual;
  std::string file;
  for (std::size_t i = 2; i < words.size(); ++i) {
    if (words[i].starts_with("links=")) {
      file = words[i].substr(6);
    } else if (Status applied = apply_option(usual, words[i]); !applied) {
      return report(applied, 2);
    }
  }
  LabSwitch lab(*hosts, usual);
  if (!file.empty()) {
    if (Status read = lab.read_links(file); !read) return report(read, 2);
  }
  if (Status can = check_can_make_hosts(); !can) return report(can);
  if (Status locked = lock_lab(/*wait=*/false); !locked) return report(locked);
  remove_hosts();
  run_shell("sysctl -qw net.ipv4.tcp_allowed_congestion_control='reno cubic bbr'");
  Status served = lab.make_hosts();
  be_punctual();
  if (served) served = lab.serve();
  remove_hosts();
  return report(served);
}

int door(const std::vector<std::string>& words) {
  if (words.size() != 3) return misuse();
  const std::optional<int> port = number(words[1], 1, 65535);
  const std::optional<int> host = number(words[2], 0, kMostHosts - 1);
  if (!port || !host) return misuse();
  if (Status can = check_can_make_hosts(); !can) return report(can);
  return report(serve_door(static_cast<std::uint16_t>(*port), *host));
}

int say(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  const Result<std::string> reply = say_to_lab(text);
  if (reply) std::fputs(reply->c_str(), stdout);
  const bool is_down = words[0] == "down";
  if (is_down) {  // the switch removes its hosts as it ends; without one, what a killed one left is removed
                  // here
    (void)lock_lab(/*wait=*/true);
    remove_hosts();
  }
  if (!reply) return report(fail(reply.error()));
  return reply->starts_with("error") ? 1 : 0;
}

int run(const std::vector<std::string>& words) {
  if (words.empty()) return misuse();
  if (words[0] == "up") return up(words);
  if (words[0] == "door") return door(words);
  for (const char* verb : {"set", "cut", "heal", "stats", "down"}) {
    if (words[0] == verb) return say(words);
  }
  return misuse();
}

}  // namespace
}  // namespace shoal

int main(int argc, char** argv) { return shoal::run(std::vector<std::string>(argv + 1, argv + argc)); }
