#include "lab/lab_switch.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "lab/control.h"
#include "lab/hosts.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxFrame = 65536;
constexpr std::size_t kEthernetHeader = 14;
constexpr int kMostFramesAtOnce = 64;

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

int stop_signals() {
  sigset_t signals;
  ::sigemptyset(&signals);
  ::sigaddset(&signals, SIGTERM);
  ::sigaddset(&signals, SIGINT);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  return ::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
}

}  // namespace

LabSwitch::LabSwitch(int hosts, const LabLink& usual)
    : hosts_(hosts), links_(static_cast<std::size_t>(hosts * hosts)) {
  for (Directed& directed : links_) directed.link = usual;
}

LabSwitch::~LabSwitch() {
  for (const int tap : taps_) ::close(tap);
}

Status LabSwitch::read_links(const std::string& path) {
  std::ifstream file(path);
  if (!file) return fail(ErrorCode::NotFound, path + " cannot be read");
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::vector<std::string> words = words_of(line);
    if (words.empty() || words[0][0] == '#') continue;
    if (Status changed = change(words, 0); !changed)
      return fail(changed.error().during(path + ":" + std::to_string(number)));
  }
  return {};
}

Status LabSwitch::make_hosts() {
  for (int host = 0; host < hosts_; ++host) {
    const Result<int> tap = make_host(host);
    if (!tap) return fail(tap.error());
    taps_.push_back(*tap);
  }
  return {};
}

Status LabSwitch::serve() {
  Result<ControlSocket> control = ControlSocket::listen();
  if (!control) return fail(control.error());
  const int timer = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  const int signals = stop_signals();
  std::vector<pollfd> files;
  for (const int tap : taps_) files.push_back({tap, POLLIN, 0});
  files.push_back({control->descriptor(), POLLIN, 0});
  files.push_back({timer, POLLIN, 0});
  files.push_back({signals, POLLIN, 0});
  const auto first = static_cast<std::size_t>(hosts_);
  std::puts("ready");
  std::fflush(stdout);
  for (bool goes_on = true; goes_on;) {
    arm(timer);
    if (::poll(files.data(), files.size(), -1) < 0 && errno != EINTR)
      return fail(ErrorCode::Internal, std::string("waiting for frames: ") + std::strerror(errno));
    std::uint64_t expirations = 0;
    if (files[first + 1].revents) (void)!::read(timer, &expirations, sizeof expirations);
    if (files[first + 2].revents) goes_on = false;
    deliver_due();
    for (int host = 0; host < hosts_; ++host) {
      if (files[static_cast<std::size_t>(host)].revents) drain_tap(host);
    }
    deliver_due();
    if (files[first].revents)
      control->answer([&](const std::string& text) { return command(text, goes_on); });
  }
  ::close(timer);
  ::close(signals);
  return {};
}

// A frame goes to the host in its last address byte, a group's to all.
void LabSwitch::drain_tap(int from) {
  char buffer[kMaxFrame];
  for (int burst = 0; burst < kMostFramesAtOnce; ++burst) {
    const ssize_t size = ::read(taps_[static_cast<std::size_t>(from)], buffer, sizeof buffer);
    if (size < static_cast<ssize_t>(kEthernetHeader)) return;
    const auto* address = reinterpret_cast<const unsigned char*>(buffer);
    const bool is_group = (address[0] & 1) != 0;
    const Time now = SteadyClock().now();
    for (int to = 0; to < hosts_; ++to) {
      if (to != from && (is_group || address[5] == to))
        hand_on(from, to, buffer, static_cast<std::size_t>(size), now);
    }
  }
}

void LabSwitch::hand_on(int from, int to, const char* frame, std::size_t size, Time now) {
  std::uniform_real_distribution<double> chance(0, 1);
  Directed& directed = links_[index(from, to)];
  const LabLink& link = directed.link;
  const bool is_lost = link.cut || (link.loss > 0 && chance(random_) < link.loss);
  const double random = link.jitter > Duration::zero() ? chance(random_) : 0;
  const std::optional<Time> arrives = is_lost ? std::nullopt : pass(link, directed.wire, size, now, random);
  if (!arrives) {
    ++directed.dropped;
    return;
  }
  ++directed.frames;
  directed.bytes += size;
  queue_.push({*arrives, frames_taken_++, to, {frame, frame + size}});
}

void LabSwitch::deliver_due() {
  const Time now = SteadyClock().now();
  while (!queue_.empty() && queue_.top().due <= now) {
    const Frame& frame = queue_.top();
    (void)!::write(taps_[static_cast<std::size_t>(frame.to)], frame.data.data(), frame.data.size());
    queue_.pop();
  }
}

void LabSwitch::arm(int timer) const {
  itimerspec when{};
  if (!queue_.empty()) {
    const long nanoseconds = queue_.top().due.time_since_epoch().count();
    when.it_value = {nanoseconds / 1'000'000'000, std::max(1L, nanoseconds % 1'000'000'000)};
  }
  ::timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, nullptr);
}

// ---- Commands

std::vector<int> LabSwitch::pick(const std::string& word) const {
  std::vector<int> picked;
  if (word == "*") {
    for (int host = 0; host < hosts_; ++host) picked.push_back(host);
    return picked;
  }
  int host = -1;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), host);
  if (error == std::errc() && end == word.data() + word.size() && host >= 0 && host < hosts_)
    picked.push_back(host);
  return picked;
}

// words[first], words[first + 1]: the hosts; options follow.
Status LabSwitch::change(const std::vector<std::string>& words, std::size_t first) {
  if (words.size() < first + 2) return fail(ErrorCode::InvalidArgument, "a link is named by two hosts");
  const std::vector<int> sources = pick(words[first]);
  const std::vector<int> targets = pick(words[first + 1]);
  if (sources.empty() || targets.empty())
    return fail(ErrorCode::InvalidArgument,
                "hosts are numbers from 0 to " + std::to_string(hosts_ - 1) + ", or *");
  const std::vector<std::string> options(words.begin() + static_cast<std::ptrdiff_t>(first) + 2, words.end());
  for (const int from : sources) {
    for (const int to : targets) {
      if (Status applied = apply_options(link(from, to), options); !applied) return applied;
    }
  }
  return {};
}

std::string LabSwitch::statistics() const {
  std::string text;
  for (int from = 0; from < hosts_; ++from) {
    for (int to = 0; to < hosts_; ++to) {
      const Directed& directed = links_[index(from, to)];
      if (directed.frames == 0) continue;
      text += std::to_string(from) + "->" + std::to_string(to) + " frames " +
              std::to_string(directed.frames) + " bytes " + std::to_string(directed.bytes) + " dropped " +
              std::to_string(directed.dropped) + "\n";
    }
  }
  return text.empty() ? "\n" : text;
}

std::string LabSwitch::command(const std::string& text, bool& goes_on) {
  const std::vector<std::string> words = words_of(text);
  const std::string verb = words.empty() ? "" : words[0];
  if (verb == "stats") return statistics();
  if (verb == "down") {
    goes_on = false;
    return "ok\n";
  }
  if (verb == "set") {
    const Status changed = change(words, 1);
    return changed ? "ok\n" : "error: " + changed.error().message() + "\n";
  }
  const bool is_cut = verb == "cut";
  if ((!is_cut && verb != "heal") || words.size() != 3) return "error: no such command: " + text + "\n";
  for (const int from : pick(words[1])) {
    for (const int to : pick(words[2])) link(from, to).cut = is_cut;
  }
  return "ok\n";
}

}  // namespace shoal
