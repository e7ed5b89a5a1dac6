#include "coordinator/served_model.h"

#include <atomic>
#include <span>
#include <thread>
#include <vector>

#include "model/model_config_codec.h"
#include "model/sha256.h"

namespace shoal {
namespace {

void hash_tensors(const GgufFile& file, std::vector<TensorRef>& tensors, std::size_t num_threads) {
  std::atomic<std::size_t> next_tensor{0};
  const auto work = [&] {
    for (std::size_t i = next_tensor++; i < tensors.size(); i = next_tensor++) {
      tensors[i].sha256 = sha256_of(file.data(*file.find_tensor(tensors[i].name)));
    }
  };
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < num_threads; ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
}

// The model as arithmetic sees it: its shape and its tensors, in order.
Sha256 model_hash(const ServedModel& model) {
  Sha256Hasher hash;
  hash.add(std::as_bytes(std::span(model.config_bytes)));
  for (const TensorRef& tensor : model.tensors) hash.add(std::as_bytes(std::span(tensor.sha256)));
  return hash.digest();
}

}  // namespace

Result<ServedModel> read_served_model(const GgufFile& file, std::string id, std::size_t num_threads) {
  Result<ModelConfig> config = read_model_config(file);
  if (!config) return fail(config.error());
  ServedModel model;
  model.id = std::move(id);
  model.config = *std::move(config);
  model.config_bytes = serialise(model.config);
  model.specs = tensor_specs(model.config, file);
  for (const TensorSpec& spec : model.specs) {
    model.tensors.push_back({.role = static_cast<std::uint8_t>(spec.role),
                             .unit = spec.unit,
                             .name = spec.file_name,
                             .type = static_cast<std::uint32_t>(spec.type),
                             .rows = spec.rows,
                             .cols = spec.cols,
                             .is_matrix = spec.is_matrix});
  }
  hash_tensors(file, model.tensors, num_threads);
  model.hash = model_hash(model);
  return model;
}

}  // namespace shoal
