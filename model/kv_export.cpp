#include <algorithm>
#include <cstddef>
#include <string>

#include "base/checked_math.h"
#include "base/crc32c.h"
#include "model/kv_cache.h"

// What export_range writes, little-endian, unaligned:
//   Header · first block of each kind (u32) · token ids (i32, num_ids of them) · blocks
// Blocks: kind by kind, in each kind block ascending, in each block its layers ascending, keys then values as
// KvShape lays them out. Slots outside [begin, end) of the first and last block are zero. The checksum covers
// everything behind it.

namespace shoal {
namespace {

constexpr std::uint32_t kMagic = 0x564B4853;  // "SHKV"
constexpr std::uint32_t kVersion = 1;

struct Header {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t checksum = 0;  // CRC-32C
  std::uint32_t unit_begin = 0, unit_end = 0;
  std::uint32_t num_kv_heads = 0, head_dim = 0;
  std::uint32_t begin = 0, end = 0;
  std::uint32_t num_kinds = 0;
  std::uint32_t num_ids = 0;  // 0 or end - begin
  std::uint32_t kv_type = 0;
};
constexpr std::size_t kChecksummedFrom = offsetof(Header, checksum) + sizeof(std::uint32_t);

std::uint32_t checksum_of(Bytes exported) { return crc32c(exported.subspan(kChecksummedFrom)); }

std::uint32_t block_of(std::uint32_t position) {
  return position / static_cast<std::uint32_t>(kKvBlockPositions);
}

// The slots of block `block` that lie in `positions`.
Range slots_in(std::uint32_t block, Range positions) {
  const std::uint32_t size = static_cast<std::uint32_t>(kKvBlockPositions);
  const std::uint32_t start = block * size;
  return Range{std::max(positions.begin, start) - start, std::min(positions.end, start + size) - start};
}

// visit(offset in a block, bytes) of everything that belongs to the slots.
template <typename Visit>
void for_each_run(const KvShape& shape, Range slots, Visit visit) {
  const std::size_t element = shape.type == KvType::F16 ? sizeof(std::uint16_t) : sizeof(std::int8_t);
  // Rows of one element per position.
  const auto visit_rows = [&](std::size_t at, std::size_t num_rows, std::size_t size) {
    for (std::size_t row = 0; row < num_rows; ++row)
      visit(at + (row * kKvBlockPositions + slots.begin) * size, slots.size() * size);
  };
  for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
    const std::size_t keys = head * shape.head_bytes();
    const std::size_t values = shape.half_bytes() + keys;
    visit_rows(keys, shape.head_dim, element);
    visit(values + slots.begin * shape.head_dim * element, slots.size() * shape.head_dim * element);
    if (shape.type == KvType::F16) continue;
    visit_rows(keys + shape.head_elements(), shape.scale_blocks(), sizeof(std::uint16_t));
    visit_rows(values + shape.head_elements(), shape.scale_blocks(), sizeof(std::uint16_t));
  }
}

// Copies some slots of one block between two places of the same layout.
void copy_slots(const KvShape& shape, Range slots, const std::byte* from, std::byte* to) {
  for_each_run(shape, slots,
               [&](std::size_t at, std::size_t size) { std::memcpy(to + at, from + at, size); });
}

bool all_finite_f16(Bytes values) {
  for (std::size_t i = 0; i + 1 < values.size(); i += 2)
    if ((load<std::uint16_t>(values.data() + i) & 0x7C00) == 0x7C00) return false;
  return true;
}

// Every value of whole blocks is a number: in q8, where every scale is.
bool all_finite(const KvShape& shape, Bytes blocks) {
  if (shape.type == KvType::F16) return all_finite_f16(blocks);
  for (std::size_t head = 0; head < blocks.size(); head += shape.head_bytes())
    if (!all_finite_f16(blocks.subspan(head, shape.head_bytes()).subspan(shape.head_elements())))
      return false;
  return true;
}

Failure not_ours(const std::string& why) {
  return fail(ErrorCode::Corrupt, "the exported KV is not usable: " + why);
}

}  // namespace

// The walk over an export's blocks, shared by both directions.
struct KvExport {
  const KvCache& cache;
  Range positions;
  std::vector<std::uint32_t> first_blocks;  // per kind

  std::uint32_t end_block() const {
    return static_cast<std::uint32_t>(div_ceil(positions.end, kKvBlockPositions));
  }
  std::size_t block_bytes() const { return cache.shape_.block_bytes(); }

  std::size_t payload_bytes() const {
    std::size_t blocks = 0;
    for (std::size_t k = 0; k < first_blocks.size(); ++k)
      blocks += std::size_t{end_block() - first_blocks[k]} * cache.pools_[k].layers.size();
    return blocks * block_bytes();
  }

  // visit(block in the cache, its slots, offset in the payload)
  template <typename Visit>
  void for_each_block(const KvCache::Sequence& sequence, Visit visit) const {
    std::size_t offset = 0;
    for (std::size_t k = 0; k < first_blocks.size(); ++k) {
      const KvCache::Pool& pool = cache.pools_[k];
      if (pool.layers.empty()) continue;
      for (std::uint32_t b = first_blocks[k]; b < end_block(); ++b) {
        for (std::size_t layer = 0; layer < pool.layers.size(); ++layer, offset += block_bytes()) {
          visit(cache.block_keys(pool, layer, sequence.tables[k].blocks[b]), slots_in(b, positions), offset);
        }
      }
    }
  }

  Header header(std::size_t num_ids) const {
    Header h;
    h.unit_begin = cache.units_.begin;
    h.unit_end = cache.units_.end;
    h.num_kv_heads = static_cast<std::uint32_t>(cache.shape_.num_kv_heads);
    h.head_dim = static_cast<std::uint32_t>(cache.shape_.head_dim);
    h.begin = positions.begin;
    h.end = positions.end;
    h.num_kinds = static_cast<std::uint32_t>(first_blocks.size());
    h.num_ids = static_cast<std::uint32_t>(num_ids);
    h.kv_type = static_cast<std::uint32_t>(cache.shape_.type);
    return h;
  }
};

Result<std::vector<std::byte>> KvCache::export_range(SequenceId sequence, Range positions,
                                                     std::span<const TokenId> ids) const {
  const std::uint32_t slot = slot_of(sequence);
  if (slot == kNoSlot || positions.begin >= positions.end || positions.end > sequences_[slot].length)
    return fail(ErrorCode::InvalidArgument, "positions [" + std::to_string(positions.begin) + ", " +
                                                std::to_string(positions.end) + ") of sequence " +
                                                std::to_string(raw(sequence)) + " are not held here");
  KvExport walk{*this, positions, {}};
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    const std::uint32_t first = std::max(block_of(positions.begin), sequences_[slot].tables[k].first);
    walk.first_blocks.push_back(pools_[k].layers.empty() ? block_of(positions.begin)
                                                         : std::min(first, walk.end_block()));
  }
  const std::size_t tables = walk.first_blocks.size() * sizeof(std::uint32_t);
  const std::size_t payload = sizeof(Header) + tables + ids.size_bytes();
  std::vector<std::byte> out(payload + walk.payload_bytes());
  store(out.data(), walk.header(ids.size()));
  std::memcpy(out.data() + sizeof(Header), walk.first_blocks.data(), tables);
  if (!ids.empty()) std::memcpy(out.data() + sizeof(Header) + tables, ids.data(), ids.size_bytes());
  walk.for_each_block(sequences_[slot], [&](const std::byte* block, Range slots, std::size_t offset) {
    copy_slots(shape_, slots, block, out.data() + payload + offset);
  });
  store(out.data() + offsetof(Header, checksum), checksum_of(out));
  return out;
}

namespace {

// Reads and checks all of an export but its blocks' size.
Result<Header> read_header(Bytes exported) {
  if (exported.size() < sizeof(Header)) return not_ours("it is shorter than its header");
  const Header h = load<Header>(exported.data());
  if (h.magic != kMagic || h.version != kVersion) return not_ours("it does not begin as version 1 does");
  if (h.checksum != checksum_of(exported)) return not_ours("its checksum is wrong");
  if (h.begin >= h.end || (h.num_ids != 0 && h.num_ids != h.end - h.begin))
    return not_ours("its positions make no range");
  return h;
}

}  // namespace

Result<KvCache::Imported> KvCache::import_range(SequenceId sequence, Bytes exported, bool needs_ids) {
  const Result<Header> header = read_header(exported);
  if (!header) return fail(header.error());
  KvExport walk{*this, Range{header->begin, header->end}, std::vector<std::uint32_t>(pools_.size())};
  Header ours = walk.header(header->num_ids);
  ours.checksum = header->checksum;
  if (std::memcmp(&ours, &*header, sizeof ours) != 0 || header->end > max_context_)
    return fail(ErrorCode::InvalidArgument,
                "the exported KV is of other layers, another shape or KV type, or a longer context than this "
                "stage's");
  if (needs_ids && header->num_ids == 0)
    return fail(ErrorCode::InvalidArgument,
                "the exported KV carries no token ids, which a stage with the head needs");

  const std::size_t tables = pools_.size() * sizeof(std::uint32_t);
  const std::size_t payload = sizeof(Header) + tables + std::size_t{header->num_ids} * sizeof(TokenId);
  if (exported.size() < payload) return not_ours("it is shorter than its tables");
  std::memcpy(walk.first_blocks.data(), exported.data() + sizeof(Header), tables);
  for (std::uint32_t first : walk.first_blocks)
    if (first < block_of(header->begin) || first > walk.end_block())
      return not_ours("its first block lies outside its range");
  if (exported.size() - payload != walk.payload_bytes()) return not_ours("its size does not fit its range");
  if (!all_finite(shape_, exported.subspan(payload))) return not_ours("a value is not finite");

  Imported imported{walk.positions, std::vector<TokenId>(header->num_ids)};
  if (!imported.ids.empty())
    std::memcpy(imported.ids.data(), exported.data() + sizeof(Header) + tables,
                imported.ids.size() * sizeof(TokenId));
  for (TokenId id : imported.ids)
    if (id < 0 || static_cast<std::uint32_t>(id) >= vocab_size_)
      return not_ours("a token id is not in the vocabulary");

  // Where the export begins after the range does (a window released the rest), nothing older is of use
  // either.
  std::vector<std::uint32_t> floors = walk.first_blocks;
  for (std::uint32_t& floor : floors)
    if (floor == block_of(header->begin)) floor = 0;
  const RowGroup group{
      .sequence = sequence, .first_position = header->begin, .num_rows = header->end - header->begin};
  std::uint32_t slot = kNoSlot;
  if (Status ok = admit_above({&group, 1}, floors, {&slot, 1}); !ok) return fail(ok.error());
  walk.for_each_block(sequences_[slot], [&](std::byte* block, Range slots, std::size_t offset) {
    copy_slots(shape_, slots, exported.data() + payload + offset, block);
  });
  return imported;
}

}  // namespace shoal
