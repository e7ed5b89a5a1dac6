#include "model/kv_cache.h"

#include <algorithm>
#include <string>

#include "base/check.h"
#include "base/checked_math.h"

namespace shoal {
namespace {

constexpr std::size_t kAlignment = 64;

std::uint32_t blocks_for(std::uint32_t positions) {
  return static_cast<std::uint32_t>(div_ceil(positions, kKvBlockPositions));
}

std::string name_of(SequenceId sequence) { return "sequence " + std::to_string(raw(sequence)); }

bool closes(const RowGroup& group) { return (group.flags & kCloses) != 0; }

}  // namespace

Result<KvCache> KvCache::open(const ModelConfig& config, Range units, const KvBudget& budget,
                              std::uint32_t max_sequences, std::uint32_t max_context) {
  KvCache cache;
  cache.shape_ = config.kv_shape(budget.type);
  cache.units_ = units;
  cache.vocab_size_ = config.vocab_size;
  cache.max_context_ = max_context;
  cache.table_entries_ = blocks_for(max_context);
  const std::vector<KvKind> kinds = kv_kinds(config);
  const bool has_layers = units.begin <= config.num_layers && units.end > 1;
  if (budget.blocks.size() != kinds.size() && (has_layers || !budget.blocks.empty()))
    return fail(ErrorCode::InvalidArgument, "the KV budget names " + std::to_string(budget.blocks.size()) +
                                                " kinds of layers, the model has " +
                                                std::to_string(kinds.size()));
  for (std::size_t k = 0; k < kinds.size(); ++k) {
    Pool pool;
    pool.window = kinds[k].window;
    pool.num_blocks = budget.blocks.empty() ? 0 : budget.blocks[k];
    for (std::uint32_t layer : kinds[k].layers)
      if (units.contains(layer + 1)) pool.layers.push_back(layer);
    cache.pools_.push_back(std::move(pool));
  }
  cache.sequences_.resize(max_sequences);
  if (Status allocated = cache.allocate(); !allocated) return fail(allocated.error());
  cache.close_all();
  return cache;
}

// The memory is zeroed by the system as it is first touched: blocks that no sequence ever used cost no
// resident page.
Status KvCache::allocate() {
  for (Pool& pool : pools_) pool.free.reserve(pool.num_blocks);
  for (Sequence& sequence : sequences_) {
    sequence.tables.resize(pools_.size());
    for (Table& table : sequence.tables) table.blocks.resize(table_entries_);
  }
  const std::uint64_t block_bytes = shape_.block_bytes();
  for (const Pool& pool : pools_) {
    const auto blocks = checked_mul(pool.layers.size(), pool.num_blocks);
    const auto bytes = blocks ? checked_mul(*blocks, block_bytes) : std::nullopt;
    const auto total = bytes ? checked_add(pool_bytes_, *bytes) : std::nullopt;
    if (!total) return fail(ErrorCode::OutOfMemory, "the KV budget's size does not fit 64 bits");
    pool_bytes_ = *total;
  }
  memory_.reset(static_cast<std::byte*>(std::calloc(1, pool_bytes_ + kAlignment)));
  if (!memory_)
    return fail(ErrorCode::OutOfMemory,
                "no memory for " + std::to_string(pool_bytes_) + " bytes of KV cache; plan fewer blocks");
  std::byte* next = memory_.get() +
                    (kAlignment - reinterpret_cast<std::uintptr_t>(memory_.get()) % kAlignment) % kAlignment;
  for (Pool& pool : pools_) {
    pool.storage = next;
    next += pool.layers.size() * pool.num_blocks * block_bytes;
  }
  return {};
}

std::uint64_t KvCache::table_bytes(const ModelConfig& config, const KvBudget& budget,
                                   std::uint32_t max_sequences, std::uint32_t max_context) {
  const std::uint64_t num_kinds = kv_kinds(config).size();
  const std::uint64_t entries = std::uint64_t{blocks_for(max_context)} * sizeof(std::uint32_t);
  std::uint64_t bytes = max_sequences * (sizeof(Sequence) + num_kinds * (sizeof(Table) + entries));
  for (std::uint32_t blocks : budget.blocks) bytes += sizeof(Pool) + blocks * sizeof(std::uint32_t);
  return bytes;
}

// --- Admission
// ------------------------------------------------------------------------------------------------------------------

Status KvCache::admit(std::span<const RowGroup> groups, std::span<std::uint32_t> slots) {
  return admit_above(groups, {}, slots);
}

Status KvCache::admit_above(std::span<const RowGroup> groups, Floors floors, std::span<std::uint32_t> slots) {
  SHOAL_CHECK(groups.size() == slots.size());
  if (Status ok = check_no_repeats(groups); !ok) return ok;
  for (const RowGroup& group : groups)
    if (Status ok = check_group(group); !ok) return ok;
  if (Status ok = check_slots(groups); !ok) return ok;
  if (Status ok = check_blocks(groups, floors); !ok) return ok;

  for (const RowGroup& group : groups) free_before_growth(group, floors);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    slots[g] = slot_of(groups[g].sequence);
    if (groups[g].num_rows == 0) continue;
    if (slots[g] == kNoSlot) slots[g] = take_slot(groups[g].sequence);
    grow(groups[g], slots[g], floors);
  }
  return {};
}

Status KvCache::check_no_repeats(std::span<const RowGroup> groups) const {
  for (std::size_t g = 0; g < groups.size(); ++g)
    for (std::size_t h = 0; h < g; ++h)
      if (groups[g].sequence == groups[h].sequence)
        return fail(ErrorCode::InvalidArgument, name_of(groups[g].sequence) + " stands twice in one step");
  return {};
}

Status KvCache::check_group(const RowGroup& group) const {
  if (closes(group)) {
    if (group.num_rows == 0) return {};
    return fail(ErrorCode::InvalidArgument, name_of(group.sequence) + " is closed by a group that has rows");
  }
  const std::uint32_t held = length(group.sequence);
  if (group.first_position > held)
    return fail(ErrorCode::InvalidArgument, name_of(group.sequence) + " holds " + std::to_string(held) +
                                                " positions, the step begins at " +
                                                std::to_string(group.first_position));
  if (group.num_rows > max_context_ - group.first_position)
    return fail(ErrorCode::InvalidArgument,
                name_of(group.sequence) + " would reach " +
                    std::to_string(std::uint64_t{group.first_position} + group.num_rows) +
                    " positions, the stage holds at most " + std::to_string(max_context_));
  const std::uint32_t slot = slot_of(group.sequence);
  return slot == kNoSlot ? Status{} : check_window(group, sequences_[slot]);
}

// A cut may not reach back behind what a window has already released.
Status KvCache::check_window(const RowGroup& group, const Sequence& sequence) const {
  if (group.first_position == 0) return {};
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    const bool complete =
        sequence.tables[k].first <= first_block_in_window(pools_[k].window, group.first_position);
    if (pools_[k].layers.empty() || complete) continue;
    return fail(ErrorCode::InvalidArgument,
                name_of(group.sequence) + " cannot be cut back to position " +
                    std::to_string(group.first_position) +
                    ": its window's earlier positions were released; replay it from position 0");
  }
  return {};
}

Status KvCache::check_slots(std::span<const RowGroup> groups) const {
  std::size_t wanted = 0;
  std::size_t available = 0;
  for (const Sequence& sequence : sequences_) available += sequence.open ? 0 : 1;
  for (const RowGroup& group : groups) {
    const bool known = slot_of(group.sequence) != kNoSlot;
    if (known && closes(group)) ++available;
    if (!known && group.num_rows > 0) ++wanted;
  }
  if (wanted <= available) return {};
  return fail(ErrorCode::OutOfMemory,
              "no sequence slot is free: the stage holds at most " + std::to_string(sequences_.size()));
}

Status KvCache::check_blocks(std::span<const RowGroup> groups, Floors floors) const {
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    if (pools_[k].layers.empty()) continue;
    std::uint64_t available = pools_[k].free.size();
    std::uint64_t wanted = 0;
    for (const RowGroup& group : groups) {
      const std::uint32_t slot = slot_of(group.sequence);
      const Table* table = slot == kNoSlot ? nullptr : &sequences_[slot].tables[k];
      if (table) available += table->held();
      wanted += move_of(k, table, group, floors).held();
    }
    if (wanted > available)
      return fail(ErrorCode::OutOfMemory, "the step needs " + std::to_string(wanted) + " KV blocks of " +
                                              std::to_string(available) + " free (window " +
                                              std::to_string(pools_[k].window) + ")");
  }
  return {};
}

KvCache::Move KvCache::move_of(std::size_t kind, const Table* table, const RowGroup& group,
                               Floors floors) const {
  const Pool& pool = pools_[kind];
  const std::uint32_t first = table ? table->first : 0;
  const std::uint32_t end = table ? table->end : 0;
  if (pool.layers.empty() || closes(group)) return Move{first, first, first};
  const std::uint32_t kept_end = std::min(end, blocks_for(group.first_position));
  const std::uint32_t kept_first = std::min(first, kept_end);
  if (group.num_rows == 0) return Move{kept_end, kept_first, kept_end};
  const std::uint32_t floor = floors.empty() ? 0 : floors[kind];
  const std::uint32_t new_first =
      std::max({kept_first, floor, first_block_in_window(pool.window, group.first_position)});
  return Move{std::max(kept_end, new_first), new_first, blocks_for(group.first_position + group.num_rows)};
}

void KvCache::free_before_growth(const RowGroup& group, Floors floors) {
  const std::uint32_t slot = slot_of(group.sequence);
  if (slot == kNoSlot) return;
  Sequence& sequence = sequences_[slot];
  if (closes(group)) return release(sequence);
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    Table& table = sequence.tables[k];
    const Move move = move_of(k, &table, group, floors);
    for (std::uint32_t b = table.first; b < table.end; ++b)
      if (b < move.new_first || b >= move.kept_end) pools_[k].free.push_back(table.blocks[b]);
    table.first = move.new_first;
    table.end = move.kept_end;
  }
  sequence.length = group.first_position;
}

void KvCache::grow(const RowGroup& group, std::uint32_t slot, Floors floors) {
  Sequence& sequence = sequences_[slot];
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    Table& table = sequence.tables[k];
    const Move move = move_of(k, &table, group, floors);
    table.first = move.new_first;
    for (table.end = move.kept_end; table.end < move.new_end; ++table.end) {
      table.blocks[table.end] = pools_[k].free.back();
      pools_[k].free.pop_back();
    }
  }
  sequence.length = group.first_position + group.num_rows;
}

std::uint32_t KvCache::take_slot(SequenceId sequence) {
  const auto slot =
      std::find_if(sequences_.begin(), sequences_.end(), [](const Sequence& s) { return !s.open; });
  SHOAL_CHECK(slot != sequences_.end());
  slot->id = sequence;
  slot->open = true;
  return static_cast<std::uint32_t>(slot - sequences_.begin());
}

// --- Release
// --------------------------------------------------------------------------------------------------------------------

void KvCache::release(Sequence& sequence) {
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    Table& table = sequence.tables[k];
    for (std::uint32_t b = table.first; b < table.end; ++b) pools_[k].free.push_back(table.blocks[b]);
    table.first = table.end = 0;
  }
  sequence.length = 0;
  sequence.open = false;
}

void KvCache::close(SequenceId sequence) {
  if (const std::uint32_t slot = slot_of(sequence); slot != kNoSlot) release(sequences_[slot]);
}

void KvCache::close_all() {
  for (Sequence& sequence : sequences_) {
    sequence.open = false;
    sequence.length = 0;
    for (Table& table : sequence.tables) table.first = table.end = 0;
  }
  for (Pool& pool : pools_) {
    pool.free.clear();
    for (std::uint32_t b = pool.num_blocks; b > 0; --b) pool.free.push_back(b - 1);
  }
}

// --- Questions
// ------------------------------------------------------------------------------------------------------------------

std::uint32_t KvCache::slot_of(SequenceId sequence) const {
  for (std::uint32_t slot = 0; slot < sequences_.size(); ++slot)
    if (sequences_[slot].open && sequences_[slot].id == sequence) return slot;
  return kNoSlot;
}

std::uint32_t KvCache::length(SequenceId sequence) const {
  const std::uint32_t slot = slot_of(sequence);
  return slot == kNoSlot ? 0 : sequences_[slot].length;
}

std::vector<std::uint32_t> KvCache::free_blocks() const {
  std::vector<std::uint32_t> free;
  for (const Pool& pool : pools_) free.push_back(static_cast<std::uint32_t>(pool.free.size()));
  return free;
}

std::byte* KvCache::block_keys(const Pool& pool, std::size_t layer_index, std::uint32_t block) const {
  return pool.storage + (layer_index * pool.num_blocks + block) * shape_.block_bytes();
}

void KvCache::block_tables(std::uint32_t slot, std::uint32_t layer, std::byte** keys,
                           std::byte** values) const {
  for (std::size_t k = 0; k < pools_.size(); ++k) {
    const auto found = std::find(pools_[k].layers.begin(), pools_[k].layers.end(), layer);
    if (found == pools_[k].layers.end()) continue;
    const Table& table = sequences_[slot].tables[k];
    const auto layer_index = static_cast<std::size_t>(found - pools_[k].layers.begin());
    std::fill_n(keys, table.first, nullptr);
    std::fill_n(values, table.first, nullptr);
    for (std::uint32_t b = table.first; b < table.end; ++b) {
      keys[b] = block_keys(pools_[k], layer_index, table.blocks[b]);
      values[b] = keys[b] + shape_.half_bytes();
    }
    return;
  }
  SHOAL_CHECK(false && "the layer belongs to this stage");
}

}  // namespace shoal
