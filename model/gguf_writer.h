#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/weight_type.h"
#include "model/gguf_types.h"

namespace shoal {

// One metadata value, already encoded. Arrays nest.
class GgufValue {
 public:
  static GgufValue u8(std::uint8_t v);
  static GgufValue i8(std::int8_t v);
  static GgufValue u16(std::uint16_t v);
  static GgufValue i16(std::int16_t v);
  static GgufValue u32(std::uint32_t v);
  static GgufValue i32(std::int32_t v);
  static GgufValue u64(std::uint64_t v);
  static GgufValue i64(std::int64_t v);
  static GgufValue f32(float v);
  static GgufValue f64(double v);
  static GgufValue boolean(bool v);
  static GgufValue string(std::string_view v);
  static GgufValue strings(std::span<const std::string> values);
  static GgufValue i32s(std::span<const std::int32_t> values);
  static GgufValue f32s(std::span<const float> values);
  static GgufValue array(GgufKind element,
                         std::span<const GgufValue> values);  // every value of kind `element`

  GgufKind kind() const { return kind_; }
  const std::vector<std::byte>& payload() const { return payload_; }

 private:
  GgufValue(GgufKind kind, std::vector<std::byte> payload) : kind_(kind), payload_(std::move(payload)) {}
  GgufKind kind_;
  std::vector<std::byte> payload_;
};

// Builds a GGUF file: metadata in the order it is set, tensors in the order they are added. A tensor's data
// is asked for when it is written, one tensor at a time, so a large file needs little memory. Source: the
// GGUF specification (ggml project, docs/gguf.md).
class GgufWriter {
 public:
  // Returns one tensor's bytes as GGUF stores them.
  using Produce = std::function<std::vector<std::byte>()>;

  void set(std::string key, GgufValue value);   // a key set again takes the new value
  void set_version(std::uint32_t version);      // 2 or 3 (the default)
  void set_alignment(std::uint32_t alignment);  // a power of two; written as general.alignment
  void add_tensor(std::string name, WeightType type, std::span<const std::uint64_t> dims, Produce produce);
  void erase(std::string_view key);  // nothing happens when there is no such key or tensor
  void erase_tensor(std::string_view name);

  // Writes PATH.partial and renames it. Errors: InvalidArgument (a tensor's bytes are not of its size),
  // Unavailable (the system).
  Status write_file(const std::string& path) const;
  Result<std::vector<std::byte>> to_bytes() const;

 private:
  struct Tensor {
    std::string name;
    WeightType type;
    std::vector<std::uint64_t> dims;
    Produce produce;
  };
  using Sink = std::function<void(std::span<const std::byte>)>;

  std::vector<std::byte> header() const;
  Status write(const Sink& sink) const;

  std::uint32_t version_ = 3;
  std::uint32_t alignment_ = kGgufDefaultAlignment;
  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::vector<Tensor> tensors_;
};

}  // namespace shoal
