#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/file_lock.h"
#include "base/result.h"
#include "model/shard_source.h"
#include "transport/messages.h"
#include "worker/panel_file.h"
#include "worker/worker_state.h"

namespace shoal {

// The worker's shard on its own disk, repacked as panels and mapped at the next start. A tensor being fetched
// grows in NAME.part, with NAME.resume beside it (how many panels are in, the running SHA-256 and CRC-32C),
// so that an interrupted fetch goes on; when the hash of what the hub sent is the tensor's, the file gets its
// header and is renamed. Only complete files whose checksum holds are ever mapped, so nothing need be synced
// while fetching: what a power cut leaves half-written is found out and fetched again. sync() spares that,
// once per plan. One process at a time: the directory is locked. Threads: check, write and sync on the store
// thread; serve, matrix, vector and retain on the compute thread.
class ShardStore final : public ShardSource {
 public:
  // Errors: Unavailable (the directory cannot be made or written, or another worker uses it), with what to
  // do.
  static Result<std::unique_ptr<ShardStore>> open(const std::string& directory);
  ~ShardStore() override;

  // What of `tensors` is on disk (verified once, then kept mapped), what is missing and where each would
  // resume. Files that are not what their names say are removed. `tensors` have possible types and shapes
  // (plan_check.h).
  StoreChecked check(Epoch epoch, std::span<const TensorRef> tensors);

  // Repacks and appends one ShardData. StoreFailed where it does not continue the file, the disk refuses, or
  // the finished tensor's hash is wrong (restart).
  std::variant<ShardWritten, StoreFailed> write(const TensorRef& tensor, const ShardData& data);

  // Once the last tensor that the latest check missed is written: waits until all is on the disk itself.
  // Otherwise does nothing.
  void sync();

  // From now on matrix() and vector() find these tensors by name.
  void serve(std::span<const TensorRef> tensors);
  // Unmaps what only plans before `epoch` asked for.
  void retain(Epoch epoch);

  Result<PanelMatrix> matrix(const TensorSpec& spec) override;
  Result<std::span<const float>> vector(const TensorSpec& spec) override;

 private:
  struct Entry;
  struct Part;
  ShardStore(std::string directory, FileLock lock);

  std::string path_of(const TensorRef& tensor) const;
  void remove_leftovers();
  bool map_if_present(const TensorRef& tensor);
  Result<Bytes> find(const TensorSpec& spec);

  const std::string directory_;
  const FileLock lock_;
  std::mutex mutex_;  // guards mapped_
  std::map<Sha256, std::unique_ptr<Entry>> mapped_;
  std::map<std::string, Sha256> served_;  // by name; compute thread only
  // Store thread only:
  Epoch epoch_{};                // of the latest check
  std::size_t num_missing_ = 0;  // of the latest check, not yet written
  bool unsynced_ = false;
  std::unique_ptr<Part> part_;  // the tensor being written
};

}  // namespace shoal
