#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace shoal {

// Reads members out of a zip archive (a Python wheel is one). Home of <zip.h>. One thread at a time.
class ZipReader {
 public:
  // NotFound, or Corrupt where the file is no zip archive.
  static Result<ZipReader> open(const std::string& path);
  ~ZipReader();
  ZipReader(ZipReader&&) noexcept;
  ZipReader& operator=(ZipReader&&) noexcept;

  // Uncompressed size of a member. NotFound names the archive and the member.
  Result<std::uint64_t> size_of(const std::string& member) const;

  // Hands over the member's bytes in order, in pieces of at most 1 MB; a failure that `sink` returns ends it.
  // The archive's own checksum and size are checked: Corrupt.
  Status extract(const std::string& member,
                 const std::function<Status(std::span<const std::byte>)>& sink) const;

 private:
  struct State;
  explicit ZipReader(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
