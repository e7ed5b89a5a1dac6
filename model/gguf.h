#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "kernels/weight_type.h"

namespace shoal {

// One tensor of a GGUF file. `type` is set only for types we compute with; `gguf_type` is the file's number.
struct GgufTensor {
  std::string name;
  std::array<std::uint64_t, 4> dims{
      1, 1, 1, 1};  // dims[0] is the contiguous one: columns (inputs); dims[1] rows (outputs)
  std::uint32_t num_dims = 0;
  std::uint32_t gguf_type = 0;
  std::optional<WeightType> type;
  std::uint64_t offset = 0;  // from the file's start
  std::uint64_t size_bytes = 0;

  std::uint64_t cols() const { return dims[0]; }
  std::uint64_t rows() const { return dims[1] * dims[2] * dims[3]; }
};

// A GGUF v2 or v3 file, memory-mapped read-only. Every count, size and offset is checked with overflow-safe
// arithmetic before use; whatever is wrong is an error that names the file, the byte offset and what was
// expected there. Source: the GGUF specification (ggml project, docs/gguf.md). Immutable after open: any
// thread may read.
class GgufFile {
 public:
  // Errors: NotFound, Corrupt, Unsupported (version, byte order), Unavailable.
  static Result<GgufFile> open(const std::string& path);
  // The same from bytes in memory; `name` stands for the path in messages.
  static Result<GgufFile> from_memory(const std::string& name, std::vector<std::byte> bytes);
  GgufFile(GgufFile&&) noexcept;
  GgufFile& operator=(GgufFile&&) noexcept;
  ~GgufFile();

  const std::string& path() const;
  std::uint64_t file_bytes() const;

  // Metadata. `find_*`: nullopt if the key is absent or is of another kind (integers of every width convert
  // when they fit).
  bool has(std::string_view key) const;
  std::optional<std::string_view> find_string(std::string_view key) const;
  std::optional<std::int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;  // integers convert
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::vector<std::string_view>> find_strings(std::string_view key) const;
  std::optional<std::vector<std::int64_t>> find_ints(std::string_view key) const;
  std::optional<std::vector<float>> find_floats(std::string_view key) const;
  std::optional<std::vector<bool>> find_bools(std::string_view key) const;
  std::optional<std::uint64_t> array_size(std::string_view key) const;  // of an array of any kind
  std::vector<std::string_view> keys() const;                           // in the file's order

  const std::vector<GgufTensor>& tensors() const;
  const GgufTensor* find_tensor(std::string_view name) const;
  Bytes data(const GgufTensor& tensor) const;  // in the mapping

 private:
  struct State;
  explicit GgufFile(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
