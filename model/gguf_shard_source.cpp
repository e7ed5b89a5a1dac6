#include "model/gguf_shard_source.h"

#include <algorithm>

namespace shoal {
namespace {

constexpr std::size_t kPanelAlignment = 64;

}  // namespace

Result<GgufShardSource::Panels> GgufShardSource::pack(const TensorSpec& spec) {
  const GgufTensor* tensor = file_.find_tensor(spec.file_name);
  if (!tensor || tensor->type != spec.type || tensor->rows() != spec.rows || tensor->cols() != spec.cols)
    return fail(ErrorCode::Corrupt,
                file_.path() + ": tensor " + spec.file_name + " is not there as the model's layout names it");
  const std::size_t one_panel = panel_bytes(spec.type, spec.cols);
  const std::size_t row_bytes = gguf_row_bytes(spec.type, spec.cols);
  const std::size_t size = panel_matrix_bytes(spec.type, spec.rows, spec.cols);
  Panels panels(static_cast<std::byte*>(std::aligned_alloc(kPanelAlignment, size)));
  if (!panels)
    return fail(ErrorCode::OutOfMemory,
                "no memory for " + std::to_string(size) + " bytes of " + spec.file_name);
  const std::byte* rows = file_.data(*tensor).data();
  pool_.parallel_for(size / one_panel, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
    const std::size_t first_row = begin * kPanelRows;
    const std::size_t num_rows = std::min<std::size_t>(spec.rows, end * kPanelRows) - first_row;
    pack_panels(spec.type, num_rows, spec.cols, rows + first_row * row_bytes,
                panels.get() + begin * one_panel);
  });
  return panels;
}

Result<PanelMatrix> GgufShardSource::matrix(const TensorSpec& spec) {
  auto known = matrices_.find(spec.file_name);
  if (known == matrices_.end()) {
    Result<Panels> panels = pack(spec);
    if (!panels) return fail(panels.error());
    bytes_ += panel_matrix_bytes(spec.type, spec.rows, spec.cols);
    known = matrices_.emplace(spec.file_name, *std::move(panels)).first;
  }
  return PanelMatrix{spec.type, spec.rows, spec.cols, known->second.get()};
}

// A vector is a matrix of one row, widened.
Result<std::span<const float>> GgufShardSource::vector(const TensorSpec& spec) {
  auto known = vectors_.find(spec.file_name);
  if (known == vectors_.end()) {
    const Result<Panels> panels = pack(spec);
    if (!panels) return fail(panels.error());
    std::vector<float> values(spec.cols);
    dequantise_row(PanelMatrix{spec.type, 1, spec.cols, panels->get()}, 0, values.data());
    bytes_ += values.size() * sizeof(float);
    known = vectors_.emplace(spec.file_name, std::move(values)).first;
  }
  return std::span<const float>(known->second);
}

}  // namespace shoal
