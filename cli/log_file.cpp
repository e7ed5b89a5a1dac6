#include "cli/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace shoal {
namespace {

constexpr std::uint64_t kMaxBytes = 16 << 20;

}  // namespace

Result<LogFile> LogFile::open(const std::string& path) {
  LogFile log(path);
  if (!log.reopen())
    return fail(ErrorCode::Unavailable, "opening the log " + path + ": " + std::strerror(errno));
  return log;
}

bool LogFile::reopen() {
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (descriptor < 0) return false;
  struct stat info {};
  size_ = ::fstat(descriptor, &info) == 0 ? static_cast<std::uint64_t>(info.st_size) : 0;
  file_.reset(::fdopen(descriptor, "a"));
  return file_ != nullptr;
}

void LogFile::rotate() {
  file_.reset();
  std::rename(path_.c_str(), (path_ + ".1").c_str());
  reopen();
}

void LogFile::add_line(std::string_view line) {
  if (size_ + line.size() + 1 > kMaxBytes) rotate();
  if (!file_) return;
  std::fprintf(file_.get(), "%.*s\n", static_cast<int>(line.size()), line.data());
  std::fflush(file_.get());
  size_ += line.size() + 1;
}

}  // namespace shoal
