#include "model/gguf_cursor.h"

namespace shoal {

Bytes GgufCursor::take(std::uint64_t size, std::string_view what) {
  if (!ok()) return {};
  if (size > remaining()) {
    fail_at(position_, ErrorCode::Corrupt, what,
            "the end of the file after " + std::to_string(remaining()) + " of " + std::to_string(size) +
                " bytes (is the download complete?)");
    return {};
  }
  const Bytes taken = bytes_.subspan(position_, size);
  position_ += size;
  return taken;
}

std::string_view GgufCursor::read_string(std::uint64_t min_bytes, std::uint64_t max_bytes,
                                         std::string_view what) {
  const std::uint64_t start = position_;
  const auto length = read<std::uint64_t>(what);
  if (ok() && (length < min_bytes || length > max_bytes)) {
    fail_at(start, ErrorCode::Corrupt,
            std::string(what) + " of " + std::to_string(min_bytes) + " to " + std::to_string(max_bytes) +
                " bytes",
            "a length of " + std::to_string(length));
  }
  const Bytes text = take(length, what);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

void GgufCursor::fail_at(std::uint64_t at, ErrorCode code, std::string_view what, std::string_view found) {
  if (!ok()) return;
  error_.emplace(code, path_ + ": byte " + std::to_string(at) + ": expected " + std::string(what) +
                           ", found " + std::string(found));
}

}  // namespace shoal
