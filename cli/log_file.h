#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal {

// Lines of one process on disk, readable by its owner alone. Past 16 MB the file becomes PATH.1 (the one
// before it is dropped) and a new one begins, so that a process that complains for weeks fills no disk.
class LogFile {
 public:
  static Result<LogFile> open(const std::string& path);

  void add_line(std::string_view line);

 private:
  explicit LogFile(std::string path) : path_(std::move(path)) {}
  bool reopen();
  void rotate();

  struct CloseFile {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, CloseFile> file_;
  std::uint64_t size_ = 0;
};

}  // namespace shoal
