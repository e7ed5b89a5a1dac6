#include "coordinator/served_model.h"

#include <sodium.h>

#include <atomic>
#include <map>
#include <thread>
#include <vector>

#include "model/model_config_codec.h"

namespace shoal {
namespace {

Sha256 sha256_of(Bytes bytes) {
  Sha256 digest;
  crypto_hash_sha256(digest.data(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  return digest;
}

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
  crypto_hash_sha256_state state;
  crypto_hash_sha256_init(&state);
  crypto_hash_sha256_update(&state, reinterpret_cast<const unsigned char*>(model.config_bytes.data()),
                            model.config_bytes.size());
  for (const TensorRef& tensor : model.tensors)
    crypto_hash_sha256_update(&state, tensor.sha256.data(), tensor.sha256.size());
  Sha256 digest;
  crypto_hash_sha256_final(&state, digest.data());
  return digest;
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
