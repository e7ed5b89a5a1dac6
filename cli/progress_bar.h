#pragma once

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace shoal {

// "loading  [#######.............]  35 %  34 of 98 MB", at most `width` characters. A negative fraction
// leaves the bar out: how much is left is not known.
std::string render_bar(std::string_view title, double fraction, std::string_view detail, std::size_t width);

// "812 B", "34 MB", "1.2 GB" (powers of ten).
std::string human_bytes(double bytes);

// Progress of something that may last over a second. On a terminal one line that redraws itself, at most ten
// times a second; elsewhere plain lines: the first after a second, then at each tenth or new detail, two
// seconds apart. One thread at a time. Leaves the line clean when it goes.
class ProgressBar {
 public:
  struct Output {
    std::FILE* file = stderr;
    bool is_terminal = false;
    std::size_t width = 80;
  };
  explicit ProgressBar(std::string title);  // stderr
  ProgressBar(std::string title, Output output, Time started);
  ~ProgressBar();
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void update(double fraction, std::string_view detail) { update(fraction, detail, SteadyClock().now()); }
  void update(double fraction, std::string_view detail, Time now);

  // A whole line above the bar, as it is: for news while the bar stands.
  void print_line(std::string_view line);
  void clear();

 private:
  void update_plain(int tenth, const std::string& line, std::string_view detail, Time now);

  std::string title_;
  Output output_;
  Time started_;
  Time drawn_{};
  bool on_screen_ = false;
  int last_tenth_ = -2;
  std::string last_detail_;
};

}  // namespace shoal
