#include "coordinator/shard_server.h"

#include <algorithm>

#include "kernels/panels.h"
#include "transport/limits.h"

namespace shoal {
namespace {

struct Mapping {};  // the file owns the bytes

}  // namespace

ShardServer::ShardServer(const GgufFile& file, const std::vector<TensorRef>& tensors) {
  for (const TensorRef& tensor : tensors)
    sources_[tensor.sha256] = {tensor, file.data(*file.find_tensor(tensor.name))};
}

ShardData ShardServer::answer(const ShardRequest& request) {
  ShardData data{.tensor = request.tensor, .first_panel = request.first_panel, .num_panels = 0};
  const auto found = sources_.find(request.tensor);
  if (found == sources_.end()) {
    data.reason = "this hub serves no such tensor";
    return data;
  }
  const TensorRef& tensor = found->second.tensor;
  const std::uint64_t num_panels = tensor.is_matrix ? (tensor.rows + kPanelRows - 1) / kPanelRows : 1;
  if (request.num_panels == 0 || request.first_panel >= num_panels ||
      request.num_panels > num_panels - request.first_panel) {
    data.reason = "the tensor has no such panels";
    return data;
  }
  const std::uint64_t row_bytes = gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
  const std::uint64_t first_row = tensor.is_matrix ? request.first_panel * kPanelRows : 0;
  const std::uint64_t end_row =
      tensor.is_matrix ? std::min<std::uint64_t>(first_row + request.num_panels * kPanelRows, tensor.rows)
                       : tensor.rows;
  const Bytes rows = found->second.data.subspan(first_row * row_bytes, (end_row - first_row) * row_bytes);
  if (rows.size() > kMaxShardBytes) {
    data.reason = "that is more than one message may carry";
    return data;
  }
  data.num_panels = request.num_panels;
  for (std::size_t at = 0; at < rows.size(); at += kMaxPayloadChunkBytes) {
    data.payload.emplace_back(Mapping{}, rows.subspan(at, std::min(kMaxPayloadChunkBytes, rows.size() - at)));
  }
  bytes_sent_ += rows.size();
  return data;
}

}  // namespace shoal
