#pragma once

#include <atomic>
#include <string>

namespace shoal {

// Lines from a file descriptor (a terminal or a pipe), where a signal ends the wait: std::getline would go
// on.
class LineReader {
 public:
  explicit LineReader(int descriptor) : descriptor_(descriptor) {}

  enum class Outcome { Line, Interrupted, End };
  // Waits for a line (given without its newline; a last line without one counts) or until `interrupt` is set.
  Outcome read(std::string& line, const std::atomic<bool>& interrupt);

 private:
  bool take_line(std::string& line);

  int descriptor_;
  std::string pending_;
  bool at_end_ = false;
};

}  // namespace shoal
