#pragma once

#include <optional>
#include <string>

#include "base/result.h"

namespace shoal {

// A file that one process at a time holds (flock). The kernel lets go of it when the process ends, however it
// ends. Movable; given up with the object.
class FileLock {
 public:
  // Makes the file where it is missing, for its owner alone; its folder must exist. Nothing: somebody else
  // holds it now. Unavailable: it cannot be opened, with the system's words for why.
  static Result<std::optional<FileLock>> try_take(const std::string& path);
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;

  int file() const { return file_; }  // its descriptor, open for as long as the lock is held

 private:
  explicit FileLock(int file) : file_(file) {}
  int file_;
};

}  // namespace shoal
