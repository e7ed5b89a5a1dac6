#include "model/gguf.h"

#include <limits>
#include <utility>

#include "model/gguf_index.h"
#include "model/mapped_file.h"

namespace shoal {

struct GgufFile::State {
  std::string path;
  std::optional<MappedFile> mapping;
  std::vector<std::byte> memory;  // instead of a mapping
  Bytes bytes;
  GgufIndex index;
};

namespace {

bool is_integer(GgufKind kind) {
  switch (kind) {
    case GgufKind::U8:
    case GgufKind::I8:
    case GgufKind::U16:
    case GgufKind::I16:
    case GgufKind::U32:
    case GgufKind::I32:
    case GgufKind::U64:
    case GgufKind::I64:
      return true;
    default:
      return false;
  }
}

// nullopt: no integer, or a u64 past i64's end.
std::optional<std::int64_t> load_int(GgufKind kind, const std::byte* at) {
  switch (kind) {
    case GgufKind::U8:
      return load<std::uint8_t>(at);
    case GgufKind::I8:
      return load<std::int8_t>(at);
    case GgufKind::U16:
      return load<std::uint16_t>(at);
    case GgufKind::I16:
      return load<std::int16_t>(at);
    case GgufKind::U32:
      return load<std::uint32_t>(at);
    case GgufKind::I32:
      return load<std::int32_t>(at);
    case GgufKind::I64:
      return load<std::int64_t>(at);
    case GgufKind::U64: {
      const auto value = load<std::uint64_t>(at);
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
      return static_cast<std::int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> load_float(GgufKind kind, const std::byte* at) {
  if (kind == GgufKind::F32) return static_cast<double>(load<float>(at));
  if (kind == GgufKind::F64) return load<double>(at);
  const std::optional<std::int64_t> integer = load_int(kind, at);
  if (!integer) return std::nullopt;
  return static_cast<double>(*integer);
}

std::string_view load_string(const std::byte* at) {
  return {reinterpret_cast<const char*>(at + sizeof(std::uint64_t)), load<std::uint64_t>(at)};
}

const GgufEntry* find_array(const GgufIndex& index, std::string_view key) {
  const GgufEntry* entry = index.find_entry(key);
  return entry != nullptr && entry->kind == GgufKind::Array ? entry : nullptr;
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::string& path) {
  Result<MappedFile> mapping = MappedFile::open(path);
  if (!mapping) return fail(mapping.error());
  auto state = std::make_unique<State>();
  state->path = path;
  state->mapping.emplace(*std::move(mapping));
  state->bytes = state->mapping->bytes();
  Result<GgufIndex> index = index_gguf(state->bytes, state->path);
  if (!index) return fail(index.error());
  state->index = *std::move(index);
  return GgufFile(std::move(state));
}

Result<GgufFile> GgufFile::from_memory(const std::string& name, std::vector<std::byte> bytes) {
  auto state = std::make_unique<State>();
  state->path = name;
  state->memory = std::move(bytes);
  state->bytes = state->memory;
  Result<GgufIndex> index = index_gguf(state->bytes, state->path);
  if (!index) return fail(index.error());
  state->index = *std::move(index);
  return GgufFile(std::move(state));
}

GgufFile::GgufFile(std::unique_ptr<State> state) : state_(std::move(state)) {}
GgufFile::GgufFile(GgufFile&&) noexcept = default;
GgufFile& GgufFile::operator=(GgufFile&&) noexcept = default;
GgufFile::~GgufFile() = default;

const std::string& GgufFile::path() const { return state_->path; }
std::uint64_t GgufFile::file_bytes() const { return state_->bytes.size(); }

bool GgufFile::has(std::string_view key) const { return state_->index.find_entry(key) != nullptr; }

std::optional<std::string_view> GgufFile::find_string(std::string_view key) const {
  const GgufEntry* entry = state_->index.find_entry(key);
  if (entry == nullptr || entry->kind != GgufKind::String) return std::nullopt;
  return load_string(state_->bytes.data() + entry->offset);
}

std::optional<std::int64_t> GgufFile::find_int(std::string_view key) const {
  const GgufEntry* entry = state_->index.find_entry(key);
  if (entry == nullptr) return std::nullopt;
  return load_int(entry->kind, state_->bytes.data() + entry->offset);
}

std::optional<double> GgufFile::find_float(std::string_view key) const {
  const GgufEntry* entry = state_->index.find_entry(key);
  if (entry == nullptr) return std::nullopt;
  return load_float(entry->kind, state_->bytes.data() + entry->offset);
}

std::optional<bool> GgufFile::find_bool(std::string_view key) const {
  const GgufEntry* entry = state_->index.find_entry(key);
  if (entry == nullptr || entry->kind != GgufKind::Bool) return std::nullopt;
  return load<std::uint8_t>(state_->bytes.data() + entry->offset) != 0;
}

std::optional<std::vector<std::string_view>> GgufFile::find_strings(std::string_view key) const {
  const GgufEntry* entry = find_array(state_->index, key);
  if (entry == nullptr || entry->element != GgufKind::String) return std::nullopt;
  std::vector<std::string_view> strings;
  strings.reserve(entry->count);
  const std::byte* at = state_->bytes.data() + entry->offset;
  for (std::uint64_t i = 0; i < entry->count; ++i) {
    strings.push_back(load_string(at));
    at += sizeof(std::uint64_t) + strings.back().size();
  }
  return strings;
}

std::optional<std::vector<std::int64_t>> GgufFile::find_ints(std::string_view key) const {
  const GgufEntry* entry = find_array(state_->index, key);
  if (entry == nullptr || !is_integer(entry->element)) return std::nullopt;
  std::vector<std::int64_t> ints;
  ints.reserve(entry->count);
  const std::byte* at = state_->bytes.data() + entry->offset;
  for (std::uint64_t i = 0; i < entry->count; ++i, at += fixed_size(entry->element)) {
    const std::optional<std::int64_t> value = load_int(entry->element, at);
    if (!value) return std::nullopt;
    ints.push_back(*value);
  }
  return ints;
}

std::optional<std::vector<float>> GgufFile::find_floats(std::string_view key) const {
  const GgufEntry* entry = find_array(state_->index, key);
  if (entry == nullptr) return std::nullopt;
  const bool is_float = entry->element == GgufKind::F32 || entry->element == GgufKind::F64;
  if (!is_float && !is_integer(entry->element)) return std::nullopt;
  std::vector<float> floats;
  floats.reserve(entry->count);
  const std::byte* at = state_->bytes.data() + entry->offset;
  for (std::uint64_t i = 0; i < entry->count; ++i, at += fixed_size(entry->element)) {
    const std::optional<double> value = load_float(entry->element, at);
    if (!value) return std::nullopt;
    floats.push_back(static_cast<float>(*value));
  }
  return floats;
}

std::optional<std::vector<bool>> GgufFile::find_bools(std::string_view key) const {
  const GgufEntry* entry = find_array(state_->index, key);
  if (entry == nullptr || entry->element != GgufKind::Bool) return std::nullopt;
  std::vector<bool> bools;
  bools.reserve(entry->count);
  const std::byte* at = state_->bytes.data() + entry->offset;
  for (std::uint64_t i = 0; i < entry->count; ++i) bools.push_back(at[i] != std::byte{0});
  return bools;
}

std::optional<std::uint64_t> GgufFile::array_size(std::string_view key) const {
  const GgufEntry* entry = find_array(state_->index, key);
  if (entry == nullptr) return std::nullopt;
  return entry->count;
}

std::vector<std::string_view> GgufFile::keys() const {
  std::vector<std::string_view> keys;
  keys.reserve(state_->index.entries.size());
  for (const GgufEntry& entry : state_->index.entries) keys.push_back(entry.key);
  return keys;
}

const std::vector<GgufTensor>& GgufFile::tensors() const { return state_->index.tensors; }
const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  return state_->index.find_tensor(name);
}
Bytes GgufFile::data(const GgufTensor& tensor) const {
  return state_->bytes.subspan(tensor.offset, tensor.size_bytes);
}

}  // namespace shoal
