#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/gguf.h"
#include "model/gguf_types.h"

namespace shoal {

// One metadata entry: where its value lies. Views into the file's bytes.
struct GgufEntry {
  std::string_view key;
  GgufKind kind = GgufKind::U8;
  GgufKind element = GgufKind::U8;  // an array's elements; else `kind` again
  std::uint64_t count = 1;          // an array's length
  std::uint64_t offset = 0;         // of the value, or of an array's first element, from the file's start
};

// Everything a GGUF file says before its tensor data.
struct GgufIndex {
  std::vector<GgufEntry> entries;              // file order, keys unique
  std::vector<GgufTensor> tensors;             // file order, names unique
  std::vector<std::uint32_t> entries_by_key;   // indices, sorted
  std::vector<std::uint32_t> tensors_by_name;  // indices, sorted

  const GgufEntry* find_entry(std::string_view key) const;
  const GgufTensor* find_tensor(std::string_view name) const;
};

// Reads and checks the whole header; every value lies within `bytes` afterwards, so later reads need no
// check. Time is linear in the bytes read, memory bounded by kGgufMax*. `path` is for messages.
Result<GgufIndex> index_gguf(Bytes bytes, const std::string& path);

}  // namespace shoal
