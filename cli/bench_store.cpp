#include "cli/bench_store.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <utility>
#include <variant>

#include "cli/paths.h"
#include "coordinator/served_model.h"
#include "coordinator/shard_server.h"
#include "kernels/weight_type.h"
#include "transport/limits.h"
#include "worker/shard_store.h"

namespace shoal {
namespace {

constexpr Epoch kEpoch = make_epoch(1, 1);

// Panels that one message of the hub carries.
std::uint32_t panels_in_a_message(const TensorRef& tensor) {
  if (!tensor.is_matrix) return 1;
  const std::size_t panel = kPanelRows * gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols);
  return static_cast<std::uint32_t>(std::max<std::size_t>(1, kMaxShardBytes / panel));
}

Status write_tensor(ShardStore& store, ShardServer& hub, const MissingTensor& missing) {
  const std::uint32_t at_once = panels_in_a_message(missing.tensor);
  const std::uint32_t end = missing.first_panel + missing.num_panels;
  for (std::uint32_t first = missing.first_panel; first < end; first += at_once) {
    const ShardData data = hub.answer({missing.tensor.sha256, first, std::min(at_once, end - first)});
    if (data.num_panels == 0) return fail(ErrorCode::Internal, missing.tensor.name + ": " + data.reason);
    const auto written = store.write(missing.tensor, data);
    if (const auto* failed = std::get_if<StoreFailed>(&written))
      return fail(ErrorCode::Unavailable, "storing " + missing.tensor.name + ": " + failed->reason);
  }
  return {};
}

}  // namespace

Result<BenchStore> BenchStore::fill(const GgufFile& file, std::size_t num_threads) {
  Result<ServedModel> model = read_served_model(file, "bench", num_threads);
  if (!model) return fail(model.error());
  BenchStore store;
  store.directory_ = cache_directory() + "/bench-store";
  store.config_ = std::move(model->config);
  store.specs_ = std::move(model->specs);
  store.tensors_ = std::move(model->tensors);
  if (Status ok = store.write_all(file); !ok) return fail(ok.error());
  return store;
}

Status BenchStore::write_all(const GgufFile& file) const {
  const Result<std::unique_ptr<ShardStore>> store = ShardStore::open(directory_);
  if (!store) return fail(store.error());
  ShardServer hub(file, tensors_);
  std::set<Sha256> written;  // a tied head is the embedding's tensor again
  for (const MissingTensor& missing : (*store)->check(kEpoch, tensors_).missing) {
    if (!written.insert(missing.tensor.sha256).second) continue;
    if (Status ok = write_tensor(**store, hub, missing); !ok) return ok;
  }
  return {};
}

Result<std::unique_ptr<ShardSource>> BenchStore::reopen() const {
  Result<std::unique_ptr<ShardStore>> store = ShardStore::open(directory_);
  if (!store) return fail(store.error());
  const StoreChecked checked = (*store)->check(kEpoch, tensors_);
  if (!checked.missing.empty())
    return fail(ErrorCode::Corrupt, "the store lacks " + checked.missing.front().tensor.name +
                                        ", which was written: is its disk full or broken?");
  (*store)->serve(tensors_);
  return std::unique_ptr<ShardSource>(*std::move(store));
}

BenchStore::BenchStore(BenchStore&& other) noexcept
    : directory_(std::exchange(other.directory_, {})),
      config_(std::move(other.config_)),
      specs_(std::move(other.specs_)),
      tensors_(std::move(other.tensors_)) {}

BenchStore::~BenchStore() {
  std::error_code error;
  if (!directory_.empty()) std::filesystem::remove_all(directory_, error);
}

}  // namespace shoal
