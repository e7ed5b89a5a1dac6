#include "model/cpu_stage.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "model/unit_reader.h"

namespace shoal {
namespace {

constexpr std::size_t kAlignment = 64;

Failure invalid(const std::string& what) { return fail(ErrorCode::InvalidArgument, what); }

Status check_spec(const StageSpec& spec, const ModelConfig& config) {
  const std::uint32_t head_blocks = static_cast<std::uint32_t>(div_ceil(config.vocab_size, kHeadBlockRows));
  if (spec.units.begin >= spec.units.end || spec.units.end > config.num_units())
    return invalid("units [" + std::to_string(spec.units.begin) + ", " + std::to_string(spec.units.end) +
                   ") are not a run of the model's " + std::to_string(config.num_units()));
  if (spec.units.contains(config.head_unit()) == spec.head_blocks.empty())
    return invalid("a stage names head blocks exactly when its units reach the head");
  if (spec.head_blocks.begin > spec.head_blocks.end || spec.head_blocks.end > head_blocks)
    return invalid("the head has " + std::to_string(head_blocks) + " blocks, the stage wants up to " +
                   std::to_string(spec.head_blocks.end));
  if (spec.max_context == 0 || spec.max_context > config.max_seq_len)
    return invalid("a context of " + std::to_string(spec.max_context) + " is not between 1 and the model's " +
                   std::to_string(config.max_seq_len));
  if (spec.max_rows == 0 || spec.max_rows > kMaxRowsPerStep || spec.max_sequences == 0)
    return invalid("a stage takes 1 to " + std::to_string(kMaxRowsPerStep) +
                   " rows a step, and at least one sequence");
  return {};
}

// The ids that a stage with the head keeps for its penalties.
std::uint64_t id_bytes(const StageSpec& spec) {
  return spec.head_blocks.empty() ? 0
                                  : std::uint64_t{spec.max_sequences} * spec.max_context * sizeof(TokenId);
}

std::size_t workspace_bytes(const StageSpec& spec, const ModelConfig& config, std::size_t num_threads) {
  Arena count(nullptr);
  Workspace::lay_out(count, spec, config, num_threads);
  return count.used() + kAlignment;
}

// An exponent of all ones is an infinity or no number at all.
bool all_finite(const float* values, std::size_t count) {
  constexpr std::uint32_t kExponent = 0x7F800000;
  std::uint32_t broken = 0;
  for (std::size_t i = 0; i < count; ++i)
    broken |= (std::bit_cast<std::uint32_t>(values[i]) & kExponent) == kExponent ? 1u : 0u;
  return broken == 0;
}

}  // namespace

Result<std::unique_ptr<StageBackend>> open_cpu_stage(const StageSpec& spec, const ModelConfig& config,
                                                     const std::vector<TensorSpec>& tensors,
                                                     ShardSource& source, const KernelTable& kernels,
                                                     ThreadPool& pool) {
  return CpuStage::open(spec, config, tensors, source, kernels, pool);
}

std::uint64_t cpu_stage_scratch_bytes(const StageSpec& spec, const ModelConfig& config,
                                      std::size_t num_threads) {
  return workspace_bytes(spec, config, num_threads) + id_bytes(spec) +
         KvCache::table_bytes(config, spec.kv, spec.max_sequences, spec.max_context);
}

Result<std::unique_ptr<StageBackend>> CpuStage::open(const StageSpec& spec, const ModelConfig& config,
                                                     const std::vector<TensorSpec>& tensors,
                                                     ShardSource& source, const KernelTable& kernels,
                                                     ThreadPool& pool) {
  if (Status ok = check_spec(spec, config); !ok) return fail(ok.error());
  Result<KvCache> kv = KvCache::open(config, spec.units, spec.kv, spec.max_sequences, spec.max_context);
  if (!kv) return fail(kv.error());
  std::unique_ptr<CpuStage> stage(
      new CpuStage(spec, config, Compute{kernels, pool, nullptr}, *std::move(kv)));
  if (Status ok = stage->allocate(); !ok) return fail(ok.error());
  if (Status ok = stage->load(tensors, source); !ok)
    return fail(ok.error().during("loading the stage's weights"));
  return std::unique_ptr<StageBackend>(std::move(stage));
}

Status CpuStage::allocate() {
  const std::size_t num_threads = compute_.pool.num_threads();
  const std::size_t bytes = align_up(workspace_bytes(spec_, config_, num_threads), kAlignment);
  memory_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes)));
  if (!memory_)
    return fail(ErrorCode::OutOfMemory,
                "no memory for " + std::to_string(bytes) + " bytes of scratch; use fewer rows");
  Arena arena(memory_.get());
  work_ = Workspace::lay_out(arena, spec_, config_, num_threads);
  if (has_head()) {
    ids_.resize(spec_.max_sequences);
    for (std::vector<TokenId>& ids : ids_) ids.reserve(spec_.max_context);
  }
  scratch_bytes_ = cpu_stage_scratch_bytes(spec_, config_, num_threads);
  return {};
}

Status CpuStage::load(const std::vector<TensorSpec>& tensors, ShardSource& source) {
  if (has_embedding()) {
    Result<Embedding> embedding = Embedding::open(config_, tensors, source);
    if (!embedding) return fail(embedding.error());
    embedding_ = *embedding;
  }
  const Range layers = layers_of(spec_.units, config_);
  if (!layers.empty()) {
    UnitReader first(tensors, layers.begin + 1, source);
    std::span<const float> factors;
    if (first.has(TensorRole::RopeFactors))
      factors = first.vector(TensorRole::RopeFactors, config_.rope_dim / 2);
    if (!first.status()) return first.status();
    rope_.emplace(config_, layers, factors);
  }
  for (std::uint32_t layer = layers.begin; layer < layers.end; ++layer) {
    Result<Block> block = Block::open(config_, layer, tensors, source, *rope_);
    if (!block) return fail(block.error());
    blocks_.push_back(*std::move(block));
  }
  if (!has_head()) return {};
  Result<Head> head = Head::open(config_, spec_.head_blocks, tensors, source);
  if (!head) return fail(head.error());
  head_.emplace(*std::move(head));
  return {};
}

// --- One step
// -------------------------------------------------------------------------------------------------------------------

Status CpuStage::run(const StageInput& input, StageOutput& output) {
  if (compute_.times) compute_.times->begin_step();
  output.hidden = {};
  if (!head_) output.candidates.clear();
  if (Status ok = check_input(input); !ok) return ok;
  const std::size_t num_rows = lay_rows(input);
  if (Status ok = take_hidden(input, head_alone() ? num_wanted_ : num_rows); !ok) return ok;
  if (Status ok = kv_.admit(input.groups, std::span(slots_).first(input.groups.size())); !ok) return ok;

  if (embedding_) embedding_->forward(compute_, input.ids, work_);
  const Step step{{work_.rows, num_rows}, std::span(slots_).first(input.groups.size()), lay_tiles(num_rows)};
  if (!blocks_.empty()) fill_angles(num_rows);
  for (const Block& block : blocks_) block.forward(compute_, step, kv_, work_);
  if (!head_) {
    output.hidden = {work_.hidden, num_rows * config_.hidden_size};
    return {};
  }
  log_ids(input);
  run_head(input, output);
  return {};
}

Status CpuStage::check_input(const StageInput& input) const {
  if (input.groups.size() > kMaxGroupsPerStep)
    return invalid("a step of " + std::to_string(input.groups.size()) + " groups; the limit is " +
                   std::to_string(kMaxGroupsPerStep));
  std::uint64_t num_rows = 0;
  for (const RowGroup& group : input.groups) {
    num_rows += group.num_rows;
    if (group.adapter != 0)
      return fail(ErrorCode::Unsupported, "adapter " + std::to_string(group.adapter) + " is not loaded");
  }
  if (num_rows > spec_.max_rows)
    return invalid("a step of " + std::to_string(num_rows) + " rows; this stage takes " +
                   std::to_string(spec_.max_rows));
  if (input.ids.size() != num_rows)
    return invalid(std::to_string(input.ids.size()) + " token ids for " + std::to_string(num_rows) + " rows");
  for (TokenId id : input.ids)
    if (id < 0 || static_cast<std::uint32_t>(id) >= config_.vocab_size)
      return invalid("token " + std::to_string(id) + " is not in the vocabulary of " +
                     std::to_string(config_.vocab_size));
  const auto fits_groups = [&](std::size_t size) { return size == 0 || size == input.groups.size(); };
  if (!fits_groups(input.sampling.size()) || !fits_groups(input.depth.size()))
    return invalid("sampling and depth are given per group or not at all");
  return {};
}

// Fills work_.rows and, beside a head, work_.wanted. Returns the number of rows.
std::size_t CpuStage::lay_rows(const StageInput& input) {
  std::uint32_t row = 0;
  num_wanted_ = 0;
  for (std::uint32_t g = 0; g < input.groups.size(); ++g) {
    const RowGroup& group = input.groups[g];
    const std::uint32_t first_wanted = group.num_rows - group.num_wanted();
    for (std::uint32_t i = 0; i < group.num_rows; ++i, ++row) {
      const std::uint32_t position = group.first_position + i;
      work_.rows[row] = RowPlace{g, position};
      if (!has_head() || i < first_wanted) continue;
      const TokenId target = i + 1 < group.num_rows ? input.ids[row + 1] : group.next_id;
      const auto hidden_row = head_alone() ? static_cast<std::uint32_t>(num_wanted_) : row;
      work_.wanted[num_wanted_++] = WantedRow{hidden_row, g, position, target};
    }
  }
  return row;
}

// Large tiles read less, small ones leave no thread idle.
std::span<const RowTile> CpuStage::lay_tiles(std::size_t num_rows) {
  constexpr std::size_t kTilesPerThread = 8;
  if (blocks_.empty()) return {};
  const std::size_t wanted = div_ceil(kTilesPerThread * compute_.pool.num_threads(), config_.num_kv_heads);
  const std::size_t most = std::clamp<std::size_t>(num_rows / wanted, 1, kAttentionTileRows);
  std::size_t num_tiles = 0;
  for (std::uint32_t row = 0; row < num_rows; ++row) {
    RowTile* last = num_tiles == 0 ? nullptr : &work_.tiles[num_tiles - 1];
    if (last && last->num_rows < most && work_.rows[row].group == work_.rows[row - 1].group) {
      ++last->num_rows;
    } else {
      work_.tiles[num_tiles++] = RowTile{row, 1};
    }
  }
  return {work_.tiles, num_tiles};
}

// Nothing of the step is applied before the rows that came in are known to be numbers.
Status CpuStage::take_hidden(const StageInput& input, std::size_t num_rows) {
  if (has_embedding() || num_rows == 0) return {};
  if (!input.hidden)
    return invalid("the stage begins behind the embedding, and the step brings no hidden rows");
  const std::size_t count = num_rows * config_.hidden_size;
  std::memcpy(work_.hidden, input.hidden, count * sizeof(float));
  if (all_finite(work_.hidden, count)) return {};
  return fail(ErrorCode::Corrupt, "a hidden value of the step is not finite");
}

void CpuStage::fill_angles(std::size_t num_rows) {
  const std::size_t pairs = rope_->pairs();
  compute_.pool.parallel_for(rope_->num_kinds() * num_rows, 8,
                             [&](std::size_t begin, std::size_t end, std::size_t) {
                               for (std::size_t i = begin; i < end; ++i)
                                 rope_->angles(i / num_rows, work_.rows[i % num_rows].position,
                                               work_.cos + i * pairs, work_.sin + i * pairs);
                             });
  compute_.end(Operation::Angles);
}

void CpuStage::log_ids(const StageInput& input) {
  std::size_t row = 0;
  for (std::size_t g = 0; g < input.groups.size(); ++g) {
    const RowGroup& group = input.groups[g];
    if (slots_[g] == KvCache::kNoSlot) continue;
    std::vector<TokenId>& ids = ids_[slots_[g]];
    const std::span<const TokenId> added = input.ids.subspan(row, group.num_rows);
    ids.resize(group.first_position);
    ids.insert(ids.end(), added.begin(), added.end());
    histories_[g] = ids;
    row += group.num_rows;
  }
}

void CpuStage::run_head(const StageInput& input, StageOutput& output) {
  output.candidates.resize(num_wanted_);
  const Head::Request request{
      {work_.wanted, num_wanted_}, input.groups, input.sampling, input.depth, histories_};
  head_->forward(compute_, request, work_, output.candidates);
}

// --- KV copies
// ------------------------------------------------------------------------------------------------------------------

Result<std::vector<std::byte>> CpuStage::export_kv(SequenceId sequence, Range positions) const {
  const std::uint32_t slot = kv_.slot_of(sequence);
  std::span<const TokenId> ids;
  if (has_head() && slot != KvCache::kNoSlot && positions.begin < positions.end &&
      positions.end <= ids_[slot].size())
    ids = std::span(ids_[slot]).subspan(positions.begin, positions.size());
  return kv_.export_range(sequence, positions, ids);
}

Status CpuStage::import_kv(SequenceId sequence, Bytes exported) {
  Result<KvCache::Imported> imported = kv_.import_range(sequence, exported, has_head());
  if (!imported) return fail(imported.error());
  if (!has_head()) return {};
  std::vector<TokenId>& ids = ids_[kv_.slot_of(sequence)];
  ids.resize(imported->positions.begin);
  ids.insert(ids.end(), imported->ids.begin(), imported->ids.end());
  return {};
}

}  // namespace shoal
