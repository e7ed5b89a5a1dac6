#include "worker/panel_file.h"

#include <cstring>

#include "base/crc32c.h"
#include "model/sha256.h"

namespace shoal {
namespace {

constexpr char kMagic[8] = {'S', 'H', 'O', 'A', 'L', 'P', 'N', 'L'};
constexpr std::size_t kHeaderCrcAt = 124;

}  // namespace

std::uint64_t stored_body_bytes(const TensorRef& tensor) {
  return tensor.is_matrix ? panel_matrix_bytes(static_cast<WeightType>(tensor.type), tensor.rows, tensor.cols)
                          : tensor.rows * tensor.cols * sizeof(float);
}

std::uint32_t num_stored_panels(const TensorRef& tensor) {
  return tensor.is_matrix ? static_cast<std::uint32_t>((tensor.rows + kPanelRows - 1) / kPanelRows) : 1;
}

std::string panel_file_name(const TensorRef& tensor) {
  return to_hex(tensor.sha256) + "-v" + std::to_string(kPanelLayoutVersion) + ".panels";
}

std::array<std::byte, kPanelFileHeaderBytes> panel_file_header(const TensorRef& tensor,
                                                               std::uint32_t body_crc) {
  std::array<std::byte, kPanelFileHeaderBytes> header{};
  std::memcpy(header.data(), kMagic, sizeof kMagic);
  store<std::uint32_t>(&header[8], kPanelLayoutVersion);
  store<std::uint32_t>(&header[12], tensor.type);
  store<std::uint64_t>(&header[16], tensor.rows);
  store<std::uint64_t>(&header[24], tensor.cols);
  store<std::uint64_t>(&header[32], stored_body_bytes(tensor));
  std::memcpy(&header[40], tensor.sha256.data(), tensor.sha256.size());
  store<std::uint32_t>(&header[72], tensor.is_matrix ? 1 : 0);
  store<std::uint32_t>(&header[76], body_crc);
  store<std::uint32_t>(&header[kHeaderCrcAt], crc32c(Bytes(header).first(kHeaderCrcAt)));
  return header;
}

Result<MappedFile> open_panel_file(const std::string& path, const TensorRef& tensor) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file;
  const auto corrupt = [&](const char* what) { return fail(ErrorCode::Corrupt, path + ": " + what); };
  const Bytes bytes = file->bytes();
  if (bytes.size() != kPanelFileHeaderBytes + stored_body_bytes(tensor))
    return corrupt("the file's size is not its tensor's");
  const std::uint32_t body_crc = load<std::uint32_t>(&bytes[76]);
  const auto expected = panel_file_header(tensor, body_crc);
  if (std::memcmp(bytes.data(), expected.data(), expected.size()) != 0)
    return corrupt("the header is not its tensor's");
  if (crc32c(panel_file_body(*file)) != body_crc) return corrupt("the checksum does not match");
  return file;
}

Bytes panel_file_body(const MappedFile& file) { return file.bytes().subspan(kPanelFileHeaderBytes); }

}  // namespace shoal
