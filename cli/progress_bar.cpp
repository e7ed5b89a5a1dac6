#include "cli/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

namespace shoal {
namespace {

constexpr Duration kRedraw = std::chrono::milliseconds(100);
constexpr Duration kFirstLine = std::chrono::seconds(1);
constexpr Duration kNextLine = std::chrono::seconds(2);
constexpr std::size_t kBarCells = 24;

ProgressBar::Output stderr_output() {
  ProgressBar::Output output;
  output.is_terminal = ::isatty(STDERR_FILENO) == 1;
  winsize window{};
  if (output.is_terminal && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 20) {
    output.width = window.ws_col - 1U;  // a full last column would wrap
  }
  return output;
}

}  // namespace

std::string render_bar(std::string_view title, double fraction, std::string_view detail, std::size_t width) {
  std::string line(title);
  if (fraction >= 0) {
    const double part = std::clamp(fraction, 0.0, 1.0);
    const auto filled = static_cast<std::size_t>(part * kBarCells);
    char percent[16];
    std::snprintf(percent, sizeof percent, "%3d %%", static_cast<int>(part * 100));
    line += "  [" + std::string(filled, '#') + std::string(kBarCells - filled, '.') + "] " + percent;
  }
  if (!detail.empty()) line += (line.empty() ? "" : "  ") + std::string(detail);
  if (line.size() > width) line.resize(width);
  return line;
}

std::string human_bytes(double bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  std::size_t unit = 0;
  while (bytes >= 999.5 && unit + 1 < std::size(kUnits)) {
    bytes /= 1000;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit > 0 && bytes < 9.95 ? "%.1f %s" : "%.0f %s", bytes, kUnits[unit]);
  return text;
}

ProgressBar::ProgressBar(std::string title)
    : ProgressBar(std::move(title), stderr_output(), SteadyClock().now()) {}
ProgressBar::ProgressBar(std::string title, Output output, Time started)
    : title_(std::move(title)), output_(output), started_(started) {}
ProgressBar::~ProgressBar() { clear(); }

void ProgressBar::update(double fraction, std::string_view detail, Time now) {
  if (output_.is_terminal) {
    if (on_screen_ && now - drawn_ < kRedraw) return;
    drawn_ = now;
    on_screen_ = true;
    std::fprintf(output_.file, "\r%s\x1b[K", render_bar(title_, fraction, detail, output_.width).c_str());
    std::fflush(output_.file);
    return;
  }
  const int tenth = fraction < 0 ? -1 : static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 10);
  std::string line = title_;
  if (fraction >= 0)
    line += ": " + std::to_string(static_cast<int>(std::clamp(fraction, 0.0, 1.0) * 100)) + " %";
  if (!detail.empty()) line += (fraction >= 0 ? ", " : ": ") + std::string(detail);
  update_plain(tenth, line, detail, now);
}

void ProgressBar::update_plain(int tenth, const std::string& line, std::string_view detail, Time now) {
  const bool is_first = last_tenth_ == -2;
  const bool is_due = is_first ? now - started_ >= kFirstLine : now - drawn_ >= kNextLine;
  // With a known fraction the tenths say enough: details such as byte counts always change.
  const bool is_news = is_first || tenth != last_tenth_ || (tenth < 0 && detail != last_detail_);
  if (!is_due || !is_news) return;
  drawn_ = now;
  last_tenth_ = tenth;
  last_detail_ = detail;
  std::fprintf(output_.file, "%s\n", line.c_str());
  std::fflush(output_.file);
}

void ProgressBar::print_line(std::string_view line) {
  clear();
  std::fprintf(output_.file, "%.*s\n", static_cast<int>(line.size()), line.data());
  std::fflush(output_.file);
}

void ProgressBar::clear() {
  if (!on_screen_) return;
  on_screen_ = false;
  std::fputs("\r\x1b[K", output_.file);
  std::fflush(output_.file);
}

}  // namespace shoal
