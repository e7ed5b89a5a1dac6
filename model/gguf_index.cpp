#include "model/gguf_index.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <optional>

#include "base/checked_math.h"
#include "base/printable.h"
#include "model/gguf_cursor.h"

namespace shoal {
namespace {

constexpr std::uint64_t kMinEntryBytes = 8 + 1 + 4 + 1;           // key, kind, value
constexpr std::uint64_t kMinTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;  // name, dims, type, offset
constexpr std::uint64_t kMinStringBytes = 8;
constexpr std::uint64_t kMinArrayBytes = 4 + 8;

struct Header {
  std::uint64_t num_tensors = 0;
  std::uint64_t num_entries = 0;
};

// One pass over the file's header. The cursor keeps the first failure; steps after it see zeros and do
// nothing.
class Indexer {
 public:
  Indexer(Bytes bytes, const std::string& path) : bytes_(bytes), in_(bytes, path) {}
  Result<GgufIndex> run();

 private:
  Header read_header();
  void check_version(std::uint32_t version);
  std::uint64_t read_count(std::string_view what, std::uint64_t max, std::uint64_t min_bytes_each);
  void read_entry();
  GgufKind read_kind(std::string_view what);
  void read_array(GgufEntry& entry, int depth);
  void skip_value(GgufKind kind, int depth);
  void skip_fixed(GgufKind kind, std::uint64_t count);
  std::uint64_t alignment();
  void read_tensor(std::uint64_t alignment);
  void read_dims(GgufTensor& tensor);
  void size_tensor(GgufTensor& tensor, std::uint64_t at);
  void place_tensors(std::uint64_t alignment);
  void check_overlaps();
  void sort_keys();
  void sort_names();

  Bytes bytes_;
  GgufCursor in_;
  GgufIndex index_;
  std::vector<std::uint64_t> tensor_positions_;  // of each tensor's description, for messages
};

Header Indexer::read_header() {
  const auto magic = in_.read<std::uint32_t>("a GGUF file's magic \"GGUF\"");
  if (in_.ok() && magic != kGgufMagic) {
    const std::string_view found(reinterpret_cast<const char*>(bytes_.data()), 4);
    in_.fail_at(0, ErrorCode::Corrupt, "a GGUF file's magic \"GGUF\"",
                in_quotes(found) + " (not a GGUF model file)");
  }
  check_version(in_.read<std::uint32_t>("the format's version"));
  Header header;
  header.num_tensors = read_count("the number of tensors", kGgufMaxTensors, 0);
  header.num_entries = read_count("the number of metadata entries", kGgufMaxEntries, kMinEntryBytes);
  return header;
}

void Indexer::check_version(std::uint32_t version) {
  if (!in_.ok() || version == 2 || version == 3) return;
  const std::uint32_t swapped = __builtin_bswap32(version);
  if (swapped >= 1 && swapped <= 3) {
    in_.fail_at(4, ErrorCode::Unsupported, "a little-endian GGUF file",
                "a big-endian one (convert it for little-endian)");
  } else {
    in_.fail_at(4, ErrorCode::Unsupported, "GGUF version 2 or 3", "version " + std::to_string(version));
  }
}

std::uint64_t Indexer::read_count(std::string_view what, std::uint64_t max, std::uint64_t min_bytes_each) {
  const std::uint64_t at = in_.position();
  const auto count = in_.read<std::uint64_t>(what);
  if (count > max) {
    in_.fail_at(at, ErrorCode::Corrupt, std::string(what) + ", at most " + std::to_string(max),
                std::to_string(count));
  } else if (min_bytes_each != 0 && count > in_.remaining() / min_bytes_each) {
    in_.fail_at(at, ErrorCode::Corrupt, std::string(what) + " that fits the file",
                std::to_string(count) + " with " + std::to_string(in_.remaining()) + " bytes left");
  }
  return in_.ok() ? count : 0;
}

GgufKind Indexer::read_kind(std::string_view what) {
  const std::uint64_t at = in_.position();
  const auto number = in_.read<std::uint32_t>(what);
  const std::optional<GgufKind> kind = gguf_kind_from(number);
  if (!kind)
    in_.fail_at(at, ErrorCode::Corrupt, std::string(what) + " between 0 and 12", std::to_string(number));
  return kind.value_or(GgufKind::U8);
}

void Indexer::read_entry() {
  GgufEntry entry;
  entry.key = in_.read_string(1, kGgufMaxKeyBytes, "a metadata key");
  entry.kind = entry.element = read_kind("a metadata value's kind");
  if (entry.kind == GgufKind::Array) {
    read_array(entry, 1);
  } else {
    entry.offset = in_.position();
    skip_value(entry.kind, 0);
  }
  if (in_.ok()) index_.entries.push_back(entry);
}

// Reads an array's head into `entry` and walks its elements.
void Indexer::read_array(GgufEntry& entry, int depth) {
  if (depth > kGgufMaxArrayDepth) {
    in_.fail_at(in_.position(), ErrorCode::Corrupt,
                "arrays nested at most " + std::to_string(kGgufMaxArrayDepth) + " deep", "a deeper one");
    return;
  }
  entry.element = read_kind("an array's element kind");
  const std::size_t fixed = fixed_size(entry.element);
  const std::uint64_t min_bytes = fixed != 0                          ? fixed
                                  : entry.element == GgufKind::String ? kMinStringBytes
                                                                      : kMinArrayBytes;
  entry.count = read_count("an array's length", kGgufMaxArrayElements, min_bytes);
  entry.offset = in_.position();
  if (fixed != 0) return skip_fixed(entry.element, entry.count);
  for (std::uint64_t i = 0; i < entry.count && in_.ok(); ++i) skip_value(entry.element, depth);
}

void Indexer::skip_value(GgufKind kind, int depth) {
  if (kind == GgufKind::String) {
    in_.read_string(0, bytes_.size(), "a metadata string");
  } else if (kind == GgufKind::Array) {
    GgufEntry nested;
    read_array(nested, depth + 1);
  } else {
    skip_fixed(kind, 1);
  }
}

// The count was bounded by the bytes left, so the product cannot overflow.
void Indexer::skip_fixed(GgufKind kind, std::uint64_t count) {
  const std::uint64_t at = in_.position();
  const Bytes values =
      in_.take(count * fixed_size(kind), std::string("a metadata value of kind ") + name_of(kind));
  if (kind != GgufKind::Bool) return;
  const auto wrong = std::find_if(values.begin(), values.end(), [](std::byte b) { return b > std::byte{1}; });
  if (wrong == values.end()) return;
  in_.fail_at(at + static_cast<std::uint64_t>(wrong - values.begin()), ErrorCode::Corrupt, "a bool, 0 or 1",
              std::to_string(std::to_integer<int>(*wrong)));
}

std::uint64_t Indexer::alignment() {
  const GgufEntry* entry = index_.find_entry("general.alignment");
  if (entry == nullptr) return kGgufDefaultAlignment;
  if (entry->kind != GgufKind::U32) {
    in_.fail_at(entry->offset, ErrorCode::Corrupt, "general.alignment of kind u32", name_of(entry->kind));
    return kGgufDefaultAlignment;
  }
  const auto value = load<std::uint32_t>(bytes_.data() + entry->offset);
  if (std::has_single_bit(value) && value <= kGgufMaxAlignment) return value;
  in_.fail_at(entry->offset, ErrorCode::Corrupt,
              "general.alignment to be a power of two up to " + std::to_string(kGgufMaxAlignment),
              std::to_string(value));
  return kGgufDefaultAlignment;
}

void Indexer::read_tensor(std::uint64_t alignment) {
  const std::uint64_t at = in_.position();
  GgufTensor tensor;
  tensor.name = in_.read_string(1, kGgufMaxTensorNameBytes, "a tensor's name");
  read_dims(tensor);
  tensor.gguf_type = in_.read<std::uint32_t>("a tensor's type");
  tensor.type = weight_type_from(tensor.gguf_type);
  const std::uint64_t offset_at = in_.position();
  tensor.offset = in_.read<std::uint64_t>("a tensor's offset");
  if (!in_.ok()) return;
  size_tensor(tensor, at);
  if (tensor.offset % alignment != 0) {
    in_.fail_at(offset_at, ErrorCode::Corrupt,
                "tensor " + in_quotes(tensor.name) + " at a multiple of the file's alignment " +
                    std::to_string(alignment),
                "offset " + std::to_string(tensor.offset));
  }
  tensor_positions_.push_back(offset_at);
  index_.tensors.push_back(std::move(tensor));
}

void Indexer::read_dims(GgufTensor& tensor) {
  const std::uint64_t at = in_.position();
  tensor.num_dims = in_.read<std::uint32_t>("a tensor's number of dimensions");
  if (in_.ok() && (tensor.num_dims == 0 || tensor.num_dims > kGgufMaxDims)) {
    in_.fail_at(at, ErrorCode::Corrupt, "tensor " + in_quotes(tensor.name) + " with 1 to 4 dimensions",
                std::to_string(tensor.num_dims));
    tensor.num_dims = 0;
  }
  std::optional<std::uint64_t> elements = 1;
  for (std::uint32_t d = 0; d < tensor.num_dims && in_.ok(); ++d) {
    tensor.dims[d] = in_.read<std::uint64_t>("a tensor's dimension");
    if (elements) elements = checked_mul(*elements, tensor.dims[d]);
  }
  if (in_.ok() && (!elements || *elements == 0)) {
    in_.fail_at(
        at, ErrorCode::Corrupt,
        "tensor " + in_quotes(tensor.name) + " with dimensions whose product is above 0 and fits 64 bits",
        std::to_string(tensor.dims[0]) + " x " + std::to_string(tensor.dims[1]) + " x " +
            std::to_string(tensor.dims[2]) + " x " + std::to_string(tensor.dims[3]));
  }
}

// Bytes of the tensor's data; 0 for a type we do not know, whose size we cannot.
void Indexer::size_tensor(GgufTensor& tensor, std::uint64_t at) {
  if (!tensor.type) return;
  const BlockShape block = block_shape(*tensor.type);
  if (tensor.cols() % block.block_elements != 0) {
    return in_.fail_at(at, ErrorCode::Corrupt,
                       "tensor " + in_quotes(tensor.name) + " of type " + name_of(*tensor.type) +
                           " with columns a multiple of " + std::to_string(block.block_elements),
                       std::to_string(tensor.cols()));
  }
  const std::optional<std::uint64_t> row =
      checked_mul(tensor.cols() / block.block_elements, block.block_bytes);
  const std::optional<std::uint64_t> size = row ? checked_mul(*row, tensor.rows()) : std::nullopt;
  if (!size)
    in_.fail_at(at, ErrorCode::Corrupt, "tensor " + in_quotes(tensor.name) + " of a size below 2^64 bytes",
                "a larger one");
  tensor.size_bytes = size.value_or(0);
}

// Offsets in the file are relative to the data section, which begins at the next multiple of the alignment.
void Indexer::place_tensors(std::uint64_t alignment) {
  const std::uint64_t data = (in_.position() + alignment - 1) & ~(alignment - 1);  // both far below 2^63
  for (std::size_t i = 0; i < index_.tensors.size(); ++i) {
    GgufTensor& tensor = index_.tensors[i];
    const std::optional<std::uint64_t> offset = checked_add(data, tensor.offset);
    if (!offset || !fits(*offset, tensor.size_bytes, bytes_.size())) {
      return in_.fail_at(tensor_positions_[i], ErrorCode::Corrupt,
                         "the " + std::to_string(tensor.size_bytes) + " bytes of tensor " +
                             in_quotes(tensor.name) + " within the file's " + std::to_string(bytes_.size()),
                         "data at " + std::to_string(data) + " + " + std::to_string(tensor.offset) +
                             " (is the download complete?)");
    }
    tensor.offset = *offset;
  }
}

void Indexer::check_overlaps() {
  std::vector<std::uint32_t> by_offset(index_.tensors.size());
  std::iota(by_offset.begin(), by_offset.end(), 0u);
  const auto offset_of = [&](std::uint32_t i) { return index_.tensors[i].offset; };
  std::sort(by_offset.begin(), by_offset.end(), [&](auto a, auto b) { return offset_of(a) < offset_of(b); });
  for (std::size_t i = 1; i < by_offset.size(); ++i) {
    const GgufTensor& before = index_.tensors[by_offset[i - 1]];
    const GgufTensor& after = index_.tensors[by_offset[i]];
    if (before.offset + before.size_bytes <= after.offset) continue;
    return in_.fail_at(tensor_positions_[by_offset[i]], ErrorCode::Corrupt,
                       "tensor " + in_quotes(after.name) + " to begin after the end of " +
                           in_quotes(before.name) + " at byte " +
                           std::to_string(before.offset + before.size_bytes),
                       "byte " + std::to_string(after.offset));
  }
}

void Indexer::sort_keys() {
  std::vector<std::uint32_t>& order = index_.entries_by_key;
  const auto key_of = [&](std::uint32_t i) { return index_.entries[i].key; };
  order.resize(index_.entries.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return key_of(a) < key_of(b); });
  const auto twin =
      std::adjacent_find(order.begin(), order.end(), [&](auto a, auto b) { return key_of(a) == key_of(b); });
  if (twin == order.end()) return;
  const GgufEntry& entry = index_.entries[std::max(twin[0], twin[1])];
  in_.fail_at(entry.offset, ErrorCode::Corrupt, "every metadata key once", in_quotes(entry.key) + " twice");
}

void Indexer::sort_names() {
  std::vector<std::uint32_t>& order = index_.tensors_by_name;
  const auto name_at = [&](std::uint32_t i) -> const std::string& { return index_.tensors[i].name; };
  order.resize(index_.tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) { return name_at(a) < name_at(b); });
  const auto twin = std::adjacent_find(order.begin(), order.end(),
                                       [&](auto a, auto b) { return name_at(a) == name_at(b); });
  if (twin == order.end()) return;
  const std::uint32_t second = std::max(twin[0], twin[1]);
  in_.fail_at(tensor_positions_[second], ErrorCode::Corrupt, "every tensor name once",
              in_quotes(name_at(second)) + " twice");
}

Result<GgufIndex> Indexer::run() {
  const Header header = read_header();
  index_.entries.reserve(header.num_entries);
  for (std::uint64_t i = 0; i < header.num_entries && in_.ok(); ++i) read_entry();
  sort_keys();
  if (!in_.ok()) return in_.failure();
  const std::uint64_t align = alignment();
  if (in_.ok() && header.num_tensors > in_.remaining() / kMinTensorBytes) {
    in_.fail_at(in_.position(), ErrorCode::Corrupt,
                "descriptions of " + std::to_string(header.num_tensors) + " tensors",
                "only " + std::to_string(in_.remaining()) + " bytes left");
  }
  for (std::uint64_t i = 0; i < header.num_tensors && in_.ok(); ++i) read_tensor(align);
  sort_names();
  place_tensors(align);
  check_overlaps();
  if (!in_.ok()) return in_.failure();
  return std::move(index_);
}

}  // namespace

const GgufEntry* GgufIndex::find_entry(std::string_view key) const {
  const auto at = std::lower_bound(entries_by_key.begin(), entries_by_key.end(), key,
                                   [&](std::uint32_t i, std::string_view k) { return entries[i].key < k; });
  return at != entries_by_key.end() && entries[*at].key == key ? &entries[*at] : nullptr;
}

const GgufTensor* GgufIndex::find_tensor(std::string_view name) const {
  const auto at = std::lower_bound(tensors_by_name.begin(), tensors_by_name.end(), name,
                                   [&](std::uint32_t i, std::string_view n) { return tensors[i].name < n; });
  return at != tensors_by_name.end() && tensors[*at].name == name ? &tensors[*at] : nullptr;
}

Result<GgufIndex> index_gguf(Bytes bytes, const std::string& path) { return Indexer(bytes, path).run(); }

}  // namespace shoal
