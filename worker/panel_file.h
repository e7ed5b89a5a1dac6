#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "kernels/panels.h"
#include "model/mapped_file.h"
#include "transport/messages.h"

namespace shoal {

// One tensor on a worker's disk: a 128-byte header, then its panels (a matrix) or plain f32 (a vector). The
// file's name is the SHA-256 of the tensor's bytes in the GGUF file and the panel layout's version, so that
// equal tensors of different models are one file and no old layout is ever read as a new one.
//   0  "SHOALPNL"     8  u32 layout version   12 u32 weight type   16 u64 rows   24 u64 cols   32 u64 body
//   bytes 40 sha256 of the original (32)            72 u32 is_matrix     76 u32 CRC-32C of the body 80 zeros
//   124 u32 CRC-32C of bytes [0, 124)            128 body
inline constexpr std::size_t kPanelFileHeaderBytes = 128;

std::uint64_t stored_body_bytes(const TensorRef& tensor);
std::uint32_t num_stored_panels(const TensorRef& tensor);  // 1 for a vector
std::string panel_file_name(const TensorRef& tensor);

std::array<std::byte, kPanelFileHeaderBytes> panel_file_header(const TensorRef& tensor,
                                                               std::uint32_t body_crc);

// Maps the file and checks header, size and checksum against what `tensor` says. NotFound where there is no
// such file; Corrupt where the file is not what it says.
Result<MappedFile> open_panel_file(const std::string& path, const TensorRef& tensor);
Bytes panel_file_body(const MappedFile& file);

}  // namespace shoal
