#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace shoal {

// A whole file mapped read-only, page-aligned, for as long as the object lives; moving it keeps the
// addresses. Pages come from the page cache on first touch and cost nothing before. The file must not be
// shortened meanwhile: files of ours are replaced by rename, which leaves a mapping whole. Errors of open:
// NotFound, InvalidArgument (a directory, a device), Unavailable (the system refused).
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  Bytes bytes() const { return {data_, size_}; }

 private:
  MappedFile(const std::byte* data, std::size_t size) : data_(data), size_(size) {}
  void unmap();

  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace shoal
