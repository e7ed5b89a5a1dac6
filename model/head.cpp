#include "model/head.h"

#include <algorithm>
#include <array>

#include "model/sampler.h"
#include "model/second_term.h"
#include "model/unit_reader.h"

namespace shoal {

Result<Head> Head::open(const ModelConfig& config, Range blocks, const std::vector<TensorSpec>& specs,
                        ShardSource& source) {
  UnitReader unit(specs, config.head_unit(), source);
  Head head(config, blocks);
  head.norm_ = unit.vector(TensorRole::OutputNorm, config.hidden_size);
  head.slice_ = unit.matrix(TensorRole::Head, config.vocab_size, config.hidden_size);
  if (!unit.status()) return fail(unit.status().error());
  // Whole panels of a matrix are a matrix.
  head.slice_.panels += std::size_t{blocks.begin} * (kHeadBlockRows / kPanelRows) *
                        panel_bytes(head.slice_.type, head.slice_.cols);
  head.slice_.rows = head_rows_of(blocks, config).size();
  return head;
}

void Head::forward(const Compute& compute, const Request& request, Workspace& w,
                   std::span<CandidateRow> rows) const {
  const std::size_t size = config_.hidden_size;
  for (std::size_t first = 0; first < request.wanted.size(); first += kHeadTileRows) {
    const std::span<const WantedRow> tile =
        request.wanted.subspan(first, std::min(kHeadTileRows, request.wanted.size() - first));
    for (std::size_t i = 0; i < tile.size(); ++i)
      std::copy_n(w.hidden + tile[i].row * size, size, w.branch + i * size);
    make_logits(compute, tile.size(), w);
    compute.pool.parallel_for(tile.size(), 1, [&](std::size_t begin, std::size_t end, std::size_t thread) {
      const std::span<float> scratch(w.candidates + thread * 2 * slice_.rows, 2 * slice_.rows);
      for (std::size_t i = begin; i < end; ++i)
        fill_row(compute.kernels, request, tile[i], {w.logits + i * slice_.rows, slice_.rows}, scratch,
                 rows[first + i]);
    });
    compute.end(Operation::Candidates);
  }
}

// The first num_rows of w.branch, normalised and multiplied.
void Head::make_logits(const Compute& compute, std::size_t num_rows, Workspace& w) const {
  const QuantisedRows all = quantised_rows_in(w.quantised, num_rows + 1, config_.hidden_size, w.branch);
  const QuantisedRows rows = rows_of(all, 0, num_rows);
  normalise(compute, w.branch, norm_, config_.rms_norm_eps, rows);
  compute.end(Operation::HeadNormalise);
  multiply(compute, rows, std::array{Product{slice_, w.logits}});
  for (std::size_t row = 0; has_second_term(slice_) && row < num_rows; ++row) {
    if (has_outlier(rows, row)) add_second_term(compute, all, row, w);
  }
  compute.end(Operation::HeadProduct);
}

// Of one row: seldom. Its residual takes the place behind the rows, its products the candidates' scratch.
void Head::add_second_term(const Compute& compute, const QuantisedRows& all, std::size_t row,
                           Workspace& w) const {
  const std::size_t last = all.num_rows - 1;
  const QuantisedRows residual = rows_of(all, last, last + 1);
  float* values = w.branch + last * config_.hidden_size;
  compute.kernels.subtract_quantised(rows_of(all, row, row + 1), values);
  compute.kernels.quantise_rows(values, 1, residual);
  multiply(compute, residual, std::array{Product{slice_, w.candidates}});
  compute.kernels.add(w.logits + row * slice_.rows, w.candidates, slice_.rows);
}

void Head::fill_row(const KernelTable& kernels, const Request& request, const WantedRow& wanted,
                    std::span<const float> logits, std::span<float> scratch, CandidateRow& row) const {
  const RowGroup& group = request.groups[wanted.group];
  const SamplingParams* params = request.sampling.empty() ? nullptr : request.sampling[wanted.group];
  std::uint32_t depth = request.depth.empty() ? 0 : request.depth[wanted.group];
  if (depth == 0) depth = params ? candidate_depth(*params, config_.vocab_size) : 1;
  row.sequence = group.sequence;
  row.step = group.step;
  row.position = wanted.position;
  row.first_block = blocks_.begin;
  const TokenHistory history{request.histories[wanted.group].first(wanted.position + 1)};
  make_candidates(kernels, logits, static_cast<TokenId>(blocks_.begin * kHeadBlockRows), params, history,
                  depth, wanted.target, (group.flags & kWantsDigest) != 0, scratch, row);
}

}  // namespace shoal
