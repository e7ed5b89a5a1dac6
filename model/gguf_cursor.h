#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/checked_math.h"
#include "base/result.h"

namespace shoal {

// Walks a file's bytes and keeps the first failure: after one, every read gives zero, so a caller may read a
// whole record and ask ok() once. `what` finishes the sentence "expected ...". Views: bytes and path outlive
// the cursor.
class GgufCursor {
 public:
  GgufCursor(Bytes bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  bool ok() const { return !error_; }
  Failure failure() const { return fail(*error_); }
  std::uint64_t position() const { return position_; }
  std::uint64_t remaining() const { return bytes_.size() - position_; }

  template <typename T>
  T read(std::string_view what) {
    const Bytes taken = take(sizeof(T), what);
    return taken.empty() ? T{} : load<T>(taken.data());
  }
  Bytes take(std::uint64_t size, std::string_view what);  // empty on failure
  // A u64 length and that many bytes; min <= length <= max.
  std::string_view read_string(std::uint64_t min_bytes, std::uint64_t max_bytes, std::string_view what);

  // Records "PATH: byte AT: expected WHAT, found FOUND" unless something failed before.
  void fail_at(std::uint64_t at, ErrorCode code, std::string_view what, std::string_view found);

 private:
  Bytes bytes_;
  const std::string& path_;
  std::uint64_t position_ = 0;
  std::optional<Error> error_;
};

}  // namespace shoal
