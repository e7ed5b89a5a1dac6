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

// The first num_rows of w.branch: normalised, then both terms in one product, so that the weights are read
// once.
void Head::make_logits(const Compute& compute, std::size_t num_rows, Workspace& w) const {
  const bool two_terms = has_second_term(slice_);
  const QuantisedRows all =
      quantised_rows_in(w.quantised, two_terms ? 2 * num_rows : num_rows, config_.hidden_size, w.branch);
  const QuantisedRows first = rows_of(all, 0, num_rows);
  normalise(compute, w.branch, norm_, config_.rms_norm_eps, first);
  if (two_terms) {
    const QuantisedRows second = rows_of(all, num_rows, 2 * num_rows);
    float* residual = w.branch + num_rows * config_.hidden_size;
    compute.kernels.subtract_quantised(first, residual);
    compute.kernels.quantise_rows(residual, num_rows, second);
  }
  compute.end(Operation::HeadNormalise);
  multiply(compute, all, std::array{Product{slice_, w.logits}});
  if (two_terms) add_second_term(compute, num_rows, w);
  compute.end(Operation::HeadProduct);
}

// Rows [num_rows, 2 * num_rows) of the logits onto the first num_rows.
void Head::add_second_term(const Compute& compute, std::size_t num_rows, Workspace& w) const {
  const std::size_t count = num_rows * slice_.rows;
  compute.pool.parallel_for(count, kHeadBlockRows, [&](std::size_t begin, std::size_t end, std::size_t) {
    compute.kernels.add(w.logits + begin, w.logits + count + begin, end - begin);
  });
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
