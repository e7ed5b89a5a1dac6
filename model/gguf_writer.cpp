#include "model/gguf_writer.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/checked_math.h"

namespace shoal {
namespace {

template <typename T>
void append(std::vector<std::byte>& out, const T& value) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  store(out.data() + at, value);
}

void append_string(std::vector<std::byte>& out, std::string_view text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  const Bytes bytes = std::as_bytes(std::span(text));
  out.insert(out.end(), bytes.begin(), bytes.end());
}

void append_kind(std::vector<std::byte>& out, GgufKind kind) {
  append(out, static_cast<std::uint32_t>(kind));
}

std::vector<std::byte> array_head(GgufKind element, std::size_t count) {
  std::vector<std::byte> out;
  append_kind(out, element);
  append(out, static_cast<std::uint64_t>(count));
  return out;
}

template <typename T>
std::vector<std::byte> encoded(const T& value) {
  std::vector<std::byte> out;
  append(out, value);
  return out;
}

template <typename T>
std::vector<std::byte> encoded_array(GgufKind element, std::span<const T> values) {
  std::vector<std::byte> out = array_head(element, values.size());
  const Bytes bytes = std::as_bytes(values);
  out.insert(out.end(), bytes.begin(), bytes.end());
  return out;
}

std::uint64_t tensor_bytes(WeightType type, std::span<const std::uint64_t> dims) {
  std::uint64_t rows = 1;
  for (const std::uint64_t dim : dims.subspan(1)) rows *= dim;
  return rows * gguf_row_bytes(type, dims[0]);
}

}  // namespace

GgufValue GgufValue::u8(std::uint8_t v) { return {GgufKind::U8, encoded(v)}; }
GgufValue GgufValue::i8(std::int8_t v) { return {GgufKind::I8, encoded(v)}; }
GgufValue GgufValue::u16(std::uint16_t v) { return {GgufKind::U16, encoded(v)}; }
GgufValue GgufValue::i16(std::int16_t v) { return {GgufKind::I16, encoded(v)}; }
GgufValue GgufValue::u32(std::uint32_t v) { return {GgufKind::U32, encoded(v)}; }
GgufValue GgufValue::i32(std::int32_t v) { return {GgufKind::I32, encoded(v)}; }
GgufValue GgufValue::u64(std::uint64_t v) { return {GgufKind::U64, encoded(v)}; }
GgufValue GgufValue::i64(std::int64_t v) { return {GgufKind::I64, encoded(v)}; }
GgufValue GgufValue::f32(float v) { return {GgufKind::F32, encoded(v)}; }
GgufValue GgufValue::f64(double v) { return {GgufKind::F64, encoded(v)}; }
GgufValue GgufValue::boolean(bool v) { return {GgufKind::Bool, encoded(static_cast<std::uint8_t>(v))}; }

GgufValue GgufValue::string(std::string_view v) {
  std::vector<std::byte> out;
  append_string(out, v);
  return {GgufKind::String, std::move(out)};
}

GgufValue GgufValue::strings(std::span<const std::string> values) {
  std::vector<std::byte> out = array_head(GgufKind::String, values.size());
  for (const std::string& value : values) append_string(out, value);
  return {GgufKind::Array, std::move(out)};
}

GgufValue GgufValue::i32s(std::span<const std::int32_t> values) {
  return {GgufKind::Array, encoded_array(GgufKind::I32, values)};
}
GgufValue GgufValue::f32s(std::span<const float> values) {
  return {GgufKind::Array, encoded_array(GgufKind::F32, values)};
}

GgufValue GgufValue::array(GgufKind element, std::span<const GgufValue> values) {
  std::vector<std::byte> out = array_head(element, values.size());
  for (const GgufValue& value : values) {
    SHOAL_CHECK(value.kind() == element);
    out.insert(out.end(), value.payload().begin(), value.payload().end());
  }
  return {GgufKind::Array, std::move(out)};
}

void GgufWriter::set(std::string key, GgufValue value) {
  const auto same =
      std::find_if(entries_.begin(), entries_.end(), [&](const auto& entry) { return entry.first == key; });
  if (same == entries_.end()) {
    entries_.emplace_back(std::move(key), std::move(value));
  } else {
    same->second = std::move(value);
  }
}

void GgufWriter::set_version(std::uint32_t version) {
  SHOAL_CHECK(version == 2 || version == 3);
  version_ = version;
}

void GgufWriter::set_alignment(std::uint32_t alignment) {
  SHOAL_CHECK(std::has_single_bit(alignment));
  alignment_ = alignment;
  set("general.alignment", GgufValue::u32(alignment));
}

void GgufWriter::add_tensor(std::string name, WeightType type, std::span<const std::uint64_t> dims,
                            Produce produce) {
  SHOAL_CHECK(!dims.empty() && dims.size() <= kGgufMaxDims);
  SHOAL_CHECK(dims[0] % block_shape(type).block_elements == 0);
  tensors_.push_back({std::move(name), type, {dims.begin(), dims.end()}, std::move(produce)});
}

void GgufWriter::erase(std::string_view key) {
  std::erase_if(entries_, [&](const auto& entry) { return entry.first == key; });
}

void GgufWriter::erase_tensor(std::string_view name) {
  std::erase_if(tensors_, [&](const Tensor& tensor) { return tensor.name == name; });
}

std::vector<std::byte> GgufWriter::header() const {
  std::vector<std::byte> out;
  append(out, kGgufMagic);
  append(out, version_);
  append(out, static_cast<std::uint64_t>(tensors_.size()));
  append(out, static_cast<std::uint64_t>(entries_.size()));
  for (const auto& [key, value] : entries_) {
    append_string(out, key);
    append_kind(out, value.kind());
    out.insert(out.end(), value.payload().begin(), value.payload().end());
  }
  std::uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    append_string(out, tensor.name);
    append(out, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::uint64_t dim : tensor.dims) append(out, dim);
    append(out, static_cast<std::uint32_t>(tensor.type));
    append(out, offset);
    offset += align_up(tensor_bytes(tensor.type, tensor.dims), alignment_);
  }
  out.resize(align_up(out.size(), alignment_));
  return out;
}

// Every tensor is padded to the alignment, the last one too: some readers take whole padded tensors.
Status GgufWriter::write(const Sink& sink) const {
  sink(header());
  for (const Tensor& tensor : tensors_) {
    std::vector<std::byte> data = tensor.produce();
    const std::uint64_t expected = tensor_bytes(tensor.type, tensor.dims);
    if (data.size() != expected) {
      return fail(ErrorCode::InvalidArgument, "tensor " + tensor.name + " has " +
                                                  std::to_string(data.size()) + " bytes, expected " +
                                                  std::to_string(expected));
    }
    data.resize(align_up(data.size(), alignment_));
    sink(data);
  }
  return {};
}

Status GgufWriter::write_file(const std::string& path) const {
  const std::string partial = path + ".partial";
  std::ofstream file(partial, std::ios::binary | std::ios::trunc);
  Status written = write([&](std::span<const std::byte> bytes) {
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  });
  file.close();
  if (written && !file)
    written = fail(ErrorCode::Unavailable, partial + ": cannot write the file (is the disk full?)");
  if (written && std::rename(partial.c_str(), path.c_str()) != 0) {
    written =
        fail(ErrorCode::Unavailable, path + ": cannot rename " + partial + " to it: " + std::strerror(errno));
  }
  if (!written) std::remove(partial.c_str());
  return written;
}

Result<std::vector<std::byte>> GgufWriter::to_bytes() const {
  std::vector<std::byte> out;
  const Status written =
      write([&](std::span<const std::byte> bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); });
  if (!written) return fail(written.error());
  return out;
}

}  // namespace shoal
