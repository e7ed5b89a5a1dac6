#include "tests/worker/tiny_shard.h"

#include <algorithm>
#include <cstdlib>

#include "base/sampling.h"
#include "kernels/panels.h"
#include "model/kv_budget.h"
#include "model/model_config_codec.h"
#include "model/sha256.h"

namespace shoal {

std::vector<TensorRef> tensor_refs(const TinyModel& model) {
  return tensor_refs(model, {0, model.config().num_units()});
}

std::vector<TensorRef> tensor_refs(const TinyModel& model, Range units) {
  std::vector<TensorRef> refs;
  for (const TensorSpec& spec : model.specs()) {
    if (!units.contains(spec.unit)) continue;
    refs.push_back({.role = static_cast<std::uint8_t>(spec.role),
                    .unit = spec.unit,
                    .name = spec.file_name,
                    .type = static_cast<std::uint32_t>(spec.type),
                    .rows = spec.rows,
                    .cols = spec.cols,
                    .is_matrix = spec.is_matrix,
                    .sha256 = sha256_of(model.file().data(*model.file().find_tensor(spec.file_name)))});
  }
  return refs;
}

ShardData shard_data(const TinyModel& model, const TensorRef& tensor, std::uint32_t first_panel,
                     std::uint32_t num_panels, std::size_t chunk_bytes) {
  Bytes bytes = model.file().data(*model.file().find_tensor(tensor.name));
  if (tensor.is_matrix) {
    const std::uint64_t row_bytes = gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
    const std::uint64_t first = first_panel * kPanelRows;
    const std::uint64_t end = std::min<std::uint64_t>(first + num_panels * kPanelRows, tensor.rows);
    bytes = bytes.subspan(first * row_bytes, (end - first) * row_bytes);
  }
  ShardData data{.tensor = tensor.sha256,
                 .first_panel = first_panel,
                 .num_panels = num_panels,
                 .reason = {},
                 .payload = {}};
  for (std::size_t at = 0; at < bytes.size(); at += chunk_bytes) {
    data.payload.push_back(Payload::copy_of(bytes.subspan(at, std::min(chunk_bytes, bytes.size() - at))));
  }
  return data;
}

PlanMessage plan_for(const TinyModel& model, Epoch epoch, const std::vector<std::uint32_t>& cuts,
                     const std::vector<DeviceId>& devices) {
  const ModelConfig& config = model.config();
  PlanMessage plan{.epoch = epoch,
                   .pipeline = PipelineId{1},
                   .config = serialise(config),
                   .tensors = tensor_refs(model),
                   .max_context = 512,
                   .max_rows = 64,
                   .max_sequences = 8,
                   .log_bytes = 1 << 20};
  plan.kv_blocks.assign(kv_kinds(config).size(), 64);
  std::vector<std::uint32_t> ends = cuts;
  ends.push_back(config.num_units());
  std::uint32_t begin = 0;
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const bool has_head = ends[i] == config.num_units();
    const std::uint32_t blocks = (config.vocab_size + kHeadBlockRows - 1) / kHeadBlockRows;
    plan.stages.push_back({devices[i], {begin, ends[i]}, has_head ? Range{0, blocks} : Range{}});
    begin = ends[i];
  }
  return plan;
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "shoal-worker-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data());
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code error;
  std::filesystem::remove_all(path_, error);
}
std::vector<std::string> TemporaryDirectory::names() const {
  std::vector<std::string> names;
  for (const auto& file : std::filesystem::directory_iterator(path_)) {
    if (file.path().filename() != "lock") names.push_back(file.path().filename());
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace shoal
