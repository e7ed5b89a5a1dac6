#include "cli/zip_reader.h"

#include <zip.h>

#include <vector>

namespace shoal {
namespace {

constexpr std::size_t kPieceBytes = 1 << 20;

struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using ZipFile = std::unique_ptr<zip_file_t, CloseFile>;

}  // namespace

struct ZipReader::State {
  std::string path;
  zip_t* archive = nullptr;

  ~State() {
    if (archive) zip_discard(archive);
  }
  std::string place(const std::string& member) const { return path + " (" + member + ")"; }
};

ZipReader::ZipReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
ZipReader::~ZipReader() = default;
ZipReader::ZipReader(ZipReader&&) noexcept = default;
ZipReader& ZipReader::operator=(ZipReader&&) noexcept = default;

Result<ZipReader> ZipReader::open(const std::string& path) {
  auto state = std::make_unique<State>();
  state->path = path;
  int code = 0;
  state->archive = zip_open(path.c_str(), ZIP_RDONLY | ZIP_CHECKCONS, &code);
  if (state->archive) return ZipReader(std::move(state));
  zip_error_t error;
  zip_error_init_with_code(&error, code);
  const std::string what = path + ": " + zip_error_strerror(&error);
  zip_error_fini(&error);
  return fail(code == ZIP_ER_NOENT || code == ZIP_ER_OPEN ? ErrorCode::NotFound : ErrorCode::Corrupt, what);
}

Result<std::uint64_t> ZipReader::size_of(const std::string& member) const {
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat(state_->archive, member.c_str(), 0, &stat) != 0 || !(stat.valid & ZIP_STAT_SIZE)) {
    return fail(ErrorCode::NotFound, state_->path + " holds no file " + member);
  }
  return stat.size;
}

Status ZipReader::extract(const std::string& member,
                          const std::function<Status(std::span<const std::byte>)>& sink) const {
  const Result<std::uint64_t> size = size_of(member);
  if (!size) return fail(size.error());
  const ZipFile file(zip_fopen(state_->archive, member.c_str(), 0));
  if (!file) return fail(ErrorCode::Corrupt, state_->place(member) + ": " + zip_strerror(state_->archive));
  std::vector<std::byte> piece(kPieceBytes);
  std::uint64_t total = 0;
  for (;;) {
    const zip_int64_t read = zip_fread(file.get(), piece.data(), piece.size());
    if (read < 0)
      return fail(ErrorCode::Corrupt, state_->place(member) + ": " + zip_file_strerror(file.get()));
    if (read == 0) break;
    total += static_cast<std::uint64_t>(read);
    if (total > *size) return fail(ErrorCode::Corrupt, state_->place(member) + " is larger than it says");
    if (Status taken = sink(std::span(piece).first(static_cast<std::size_t>(read))); !taken) return taken;
  }
  if (total != *size) return fail(ErrorCode::Corrupt, state_->place(member) + " is shorter than it says");
  return {};
}

}  // namespace shoal
