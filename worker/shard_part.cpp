#include "worker/shard_part.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "kernels/half.h"
#include "kernels/panels.h"
#include "worker/panel_file.h"

namespace shoal {
namespace {

constexpr std::uint64_t kResumeIntervalBytes = 4 << 20;  // flash wears: not after every request
constexpr char kResumeMagic[8] = {'S', 'H', 'O', 'A', 'L', 'R', 'S', '2'};

struct ResumePoint {
  char magic[8];
  std::uint32_t panels_in;
  std::uint32_t body_crc;
  std::uint32_t crc;  // of everything else, with this field 0
  std::uint32_t unused;
  Sha256Hasher::State hash;
};

std::uint32_t crc_of(ResumePoint point) {
  point.crc = 0;
  return crc32c(Bytes(reinterpret_cast<const std::byte*>(&point), sizeof point));
}

bool read_resume_point(const std::string& path, ResumePoint& point) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return false;
  const bool whole = std::fread(&point, sizeof point, 1, file) == 1 && std::fgetc(file) == EOF;
  std::fclose(file);
  return whole && std::memcmp(point.magic, kResumeMagic, sizeof kResumeMagic) == 0 &&
         point.crc == crc_of(point);
}

Failure disk_error(const std::string& path, const char* doing) {
  const int error = errno;
  return fail(
      ErrorCode::Unavailable,
      std::string(doing) + " " + path + ": " + std::strerror(error) +
          (error == ENOSPC ? " (free some space, or give the worker another --state directory)" : ""));
}

std::uint64_t panel_stride(const TensorRef& tensor) {
  return tensor.is_matrix ? panel_bytes(static_cast<WeightType>(tensor.type), tensor.cols)
                          : stored_body_bytes(tensor);
}

// Vectors (norms, biases) are plain f32 on disk, whatever float type the file has.
void widen_vector(WeightType type, Bytes gguf_bytes, std::byte* out) {
  if (type == WeightType::F32) {
    std::memcpy(out, gguf_bytes.data(), gguf_bytes.size());
    return;
  }
  for (std::size_t i = 0; i < gguf_bytes.size() / 2; ++i) {
    const auto bits = load<std::uint16_t>(&gguf_bytes[2 * i]);
    store(out + 4 * i, type == WeightType::BF16 ? float_from_bf16(bits) : float_from_f16(bits));
  }
}

}  // namespace

ShardPart::ShardPart(std::string base_path, TensorRef tensor, int fd)
    : base_path_(std::move(base_path)), tensor_(std::move(tensor)), fd_(fd) {}

ShardPart::ShardPart(ShardPart&& other) noexcept
    : base_path_(std::move(other.base_path_)),
      tensor_(std::move(other.tensor_)),
      fd_(std::exchange(other.fd_, -1)),
      panels_in_(other.panels_in_),
      body_crc_(other.body_crc_),
      unsaved_bytes_(other.unsaved_bytes_),
      hash_(other.hash_) {}

ShardPart::~ShardPart() {
  if (fd_ < 0) return;
  if (unsaved_bytes_ > 0) (void)save_resume_point();
  ::close(fd_);
}

Result<ShardPart> ShardPart::open(const std::string& base_path, const TensorRef& tensor) {
  const std::string path = base_path + ".part";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return disk_error(path, "creating");
  ShardPart part(base_path, tensor, fd);
  if (!part.load_resume_point() && ::ftruncate(fd, 0) != 0) return disk_error(path, "emptying");
  return part;
}

std::uint32_t ShardPart::resumable_panels(const std::string& base_path, const TensorRef& tensor) {
  ResumePoint point;
  struct stat part {};
  if (!read_resume_point(base_path + ".resume", point) || ::stat((base_path + ".part").c_str(), &part) != 0)
    return 0;
  const std::uint64_t needed = kPanelFileHeaderBytes + point.panels_in * panel_stride(tensor);
  const bool usable =
      point.panels_in < num_stored_panels(tensor) && static_cast<std::uint64_t>(part.st_size) >= needed;
  return usable ? point.panels_in : 0;
}

void ShardPart::remove(const std::string& base_path) {
  ::unlink((base_path + ".part").c_str());
  ::unlink((base_path + ".resume").c_str());
}

bool ShardPart::load_resume_point() {
  panels_in_ = resumable_panels(base_path_, tensor_);
  if (panels_in_ == 0) return false;
  ResumePoint point;
  if (!read_resume_point(base_path_ + ".resume", point)) return false;
  hash_ = Sha256Hasher::resumed(point.hash);
  body_crc_ = point.body_crc;
  return true;
}

Status ShardPart::save_resume_point() {
  ResumePoint point;
  std::memset(&point, 0, sizeof point);  // padding is under the checksum
  std::memcpy(point.magic, kResumeMagic, sizeof kResumeMagic);
  point.panels_in = panels_in_;
  point.body_crc = body_crc_;
  point.hash = hash_.state();
  point.crc = crc_of(point);
  const std::string path = base_path_ + ".resume";
  const std::string fresh = path + ".new";
  std::FILE* file = std::fopen(fresh.c_str(), "wb");
  if (!file) return disk_error(fresh, "creating");
  const bool written = std::fwrite(&point, sizeof point, 1, file) == 1;
  if (std::fclose(file) != 0 || !written) {
    const Failure failure = disk_error(fresh, "writing");
    ::unlink(fresh.c_str());
    return failure;
  }
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return disk_error(path, "replacing");
  unsaved_bytes_ = 0;
  return {};
}

Status ShardPart::write_at(std::uint64_t offset, Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return disk_error(base_path_ + ".part", "writing");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
  return {};
}

Status ShardPart::append(std::uint32_t count, Bytes gguf_bytes) {
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  const std::size_t stored_bytes = count * panel_stride(tensor_);
  std::vector<Line> lines((stored_bytes + sizeof(Line) - 1) / sizeof(Line));
  const std::span<std::byte> stored = std::as_writable_bytes(std::span(lines)).first(stored_bytes);
  if (tensor_.is_matrix) {
    const auto type = static_cast<WeightType>(tensor_.type);
    pack_panels(type, gguf_bytes.size() / gguf_row_bytes(type, tensor_.cols), tensor_.cols, gguf_bytes.data(),
                stored.data());
  } else {
    widen_vector(static_cast<WeightType>(tensor_.type), gguf_bytes, stored.data());
  }
  const std::uint64_t offset = kPanelFileHeaderBytes + panels_in_ * panel_stride(tensor_);
  if (Status written = write_at(offset, stored); !written) return written;
  // Only what is in counts: a resume point after a full disk must not hash what was refused.
  hash_.add(gguf_bytes);
  body_crc_ = crc32c(stored, body_crc_);
  panels_in_ += count;
  unsaved_bytes_ += stored.size();
  return unsaved_bytes_ >= kResumeIntervalBytes ? save_resume_point() : Status();
}

Status ShardPart::finish() {
  unsaved_bytes_ = 0;  // all is in: a resume point would be of no more use
  if (hash_.digest() != tensor_.sha256) {
    remove(base_path_);
    return fail(ErrorCode::Corrupt,
                "tensor " + tensor_.name + " arrived with another SHA-256 than the plan states");
  }
  if (Status header = write_at(0, panel_file_header(tensor_, body_crc_)); !header) return header;
  if (std::rename((base_path_ + ".part").c_str(), base_path_.c_str()) != 0)
    return disk_error(base_path_, "renaming to");
  ::unlink((base_path_ + ".resume").c_str());
  return {};
}

}  // namespace shoal
