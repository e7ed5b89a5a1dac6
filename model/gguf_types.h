#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace shoal {

// The kinds of a GGUF metadata value, by the file's own numbers.
// Source: the GGUF specification (ggml project, docs/gguf.md), gguf_metadata_value_type.
enum class GgufKind : std::uint32_t {
  U8 = 0,
  I8 = 1,
  U16 = 2,
  I16 = 3,
  U32 = 4,
  I32 = 5,
  F32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  U64 = 10,
  I64 = 11,
  F64 = 12,
};

std::optional<GgufKind> gguf_kind_from(std::uint32_t number);
const char* name_of(GgufKind kind);     // "u32"
std::size_t fixed_size(GgufKind kind);  // bytes of one value; 0: String and Array, whose size is in the file

// What a tensor type's number is called in the field, known to us or not: "IQ4_XS", "type 77".
std::string tensor_type_name(std::uint32_t gguf_type);
// "F32, F16, ...": what we compute with.
std::string supported_tensor_types();

inline constexpr std::uint32_t kGgufMagic = 0x46554747;  // "GGUF"
inline constexpr std::uint64_t kGgufDefaultAlignment = 32;
inline constexpr std::uint64_t kGgufMaxDims = 4;

// What a reader accepts; far above any real file, low enough that no file makes us allocate more than its
// size + 64 MB.
inline constexpr std::uint64_t kGgufMaxEntries = 1u << 16;
inline constexpr std::uint64_t kGgufMaxTensors = 1u << 16;
inline constexpr std::uint64_t kGgufMaxKeyBytes = 65535;
inline constexpr std::uint64_t kGgufMaxTensorNameBytes = 64;
inline constexpr std::uint64_t kGgufMaxArrayElements = 1u << 22;
inline constexpr std::uint64_t kGgufMaxAlignment = 1u << 20;
inline constexpr int kGgufMaxArrayDepth = 4;

}  // namespace shoal
