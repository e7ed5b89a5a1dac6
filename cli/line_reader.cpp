#include "cli/line_reader.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

namespace shoal {
namespace {

constexpr int kPollMilliseconds = 200;  // a signal that came just before the wait is seen this late

}  // namespace

bool LineReader::take_line(std::string& line) {
  const std::size_t end = pending_.find('\n');
  if (end == std::string::npos) return false;
  line = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

LineReader::Outcome LineReader::read(std::string& line, const std::atomic<bool>& interrupt) {
  for (;;) {
    if (interrupt) return Outcome::Interrupted;
    if (take_line(line)) return Outcome::Line;
    if (at_end_) {
      line = std::exchange(pending_, {});
      return line.empty() ? Outcome::End : Outcome::Line;
    }
    pollfd waiting{descriptor_, POLLIN, 0};
    if (::poll(&waiting, 1, kPollMilliseconds) <= 0) continue;
    std::array<char, 4096> buffer;
    const ssize_t got = ::read(descriptor_, buffer.data(), buffer.size());
    if (got > 0) pending_.append(buffer.data(), static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN)) at_end_ = true;
  }
}

}  // namespace shoal
