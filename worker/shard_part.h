#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "model/sha256.h"
#include "transport/messages.h"

namespace shoal {

// A tensor on its way to disk.
// Files: BASE.part (room for the header, then panels) and BASE.resume (panels in, running hash and checksum,
// own checksum; rewritten by rename). Neither is synced: a power cut costs at most this tensor, because the
// finished file's checksum is of what was meant to be written. One thread.
class ShardPart {
 public:
  // Goes on where BASE.resume says, or from panel 0.
  static Result<ShardPart> open(const std::string& base_path, const TensorRef& tensor);
  // How many panels a fetch could skip; 0 if there is no usable part.
  static std::uint32_t resumable_panels(const std::string& base_path, const TensorRef& tensor);
  static void remove(const std::string& base_path);

  ShardPart(ShardPart&& other) noexcept;
  ShardPart& operator=(ShardPart&&) = delete;
  ~ShardPart();

  const TensorRef& tensor() const { return tensor_; }
  std::uint32_t num_panels_in() const { return panels_in_; }

  // The GGUF bytes of panels [panels_in, panels_in + count), in order; repacks them. Unavailable where the
  // disk refuses.
  Status append(std::uint32_t count, Bytes gguf_bytes);
  // All panels are in: Corrupt if the hash is not the tensor's; otherwise writes the header and renames to
  // BASE.
  Status finish();

 private:
  ShardPart(std::string base_path, TensorRef tensor, int fd);
  Status write_at(std::uint64_t offset, Bytes bytes);
  Status save_resume_point();
  bool load_resume_point();

  std::string base_path_;
  TensorRef tensor_;
  int fd_ = -1;
  std::uint32_t panels_in_ = 0;
  std::uint32_t body_crc_ = 0;  // of the panels in
  std::uint64_t unsaved_bytes_ = 0;
  Sha256Hasher hash_;  // of the GGUF bytes of the panels in
};

}  // namespace shoal
