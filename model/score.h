#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/sampling.h"
#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"
#include "model/gguf.h"
#include "model/gguf_shard_source.h"
#include "model/model_config.h"
#include "model/sampler.h"
#include "model/stage_backend.h"

namespace shoal {

struct ScoreOptions {
  std::uint32_t top = 0;      // best tokens per row with their log-probabilities, at most kMaxTopLogprobs
  std::uint32_t chunk = 512;  // rows per step, at most max_rows; changes no bit
  bool digest = false;
};

// What the model says after one token of a text.
struct ScoredRow {
  std::optional<float> next_logprob;  // of the token that follows; none after the last
  std::vector<TokenLogprob> top;      // best first
};
struct Score {
  std::vector<ScoredRow> rows;  // one per token
  std::string digest;           // of every row's logits (LogitsDigest), if asked for
};

// A whole model in one process behind one stage of all units: for `shoal score --model` and for tests, where
// its answers are what every split must give. One caller at a time; every call begins a new sequence and
// blocks until it is done.
class WholeModel {
 public:
  // num_threads >= 1, counting the caller. max_context: positions, at most the model's; 0: the model's.
  // kv_type: how keys and values are kept.
  // Errors: what GgufFile::open and read_model_config say, OutOfMemory.
  static Result<WholeModel> open(const std::string& path, const KernelTable& kernels, std::size_t num_threads,
                                 std::uint32_t max_context, std::uint32_t max_rows,
                                 KvType kv_type = KvType::F16);

  const ModelConfig& config() const { return config_; }
  const GgufFile& file() const { return *file_; }
  std::uint32_t max_context() const { return stage_->spec().max_context; }
  std::uint64_t weight_bytes() const { return source_->bytes(); }
  StageBackend& stage() { return *stage_; }

  // progress(rows done) after every step; may be empty. Errors: InvalidArgument (no tokens, too many, an id
  // outside the vocabulary).
  Result<Score> score(std::span<const TokenId> ids, const ScoreOptions& options,
                      const std::function<void(std::size_t)>& progress = {});

  // Appends at most max_tokens tokens after the prompt; ends after the first token that is in `stops` (which
  // is the last returned). params.answer_begin is set to the prompt's length.
  Result<std::vector<ChosenToken>> generate(std::span<const TokenId> prompt, SamplingParams params,
                                            std::uint32_t max_tokens, std::span<const TokenId> stops = {});

 private:
  WholeModel() = default;
  Status check_ids(std::span<const TokenId> ids) const;
  Status run(const RowGroup& group, std::span<const TokenId> ids, const SamplingParams* params,
             std::uint32_t depth);
  Result<ChosenToken> choose(const RowGroup& last, TokenId last_id, const SamplingParams& params);
  Status prefill(std::span<const TokenId> prompt, const SamplingParams& params, RowGroup& last);
  RowGroup next_group(std::uint32_t first_position, std::size_t num_rows, std::uint32_t flags);

  std::unique_ptr<GgufFile> file_;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<GgufShardSource> source_;
  ModelConfig config_;
  std::unique_ptr<StageBackend> stage_;
  StageOutput output_;
  std::uint64_t step_ = 0;
};

}  // namespace shoal
