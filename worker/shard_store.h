#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/shard_source.h"
#include "transport/messages.h"
#include "worker/panel_file.h"
#include "worker/worker_state.h"

namespace shoal {

// The worker's shard on its own disk, repacked as panels and mapped at the next start. A tensor being fetched grows in NAME.part, with
// NAME.resume beside it (how many panels are in, and the running SHA-256), so that an interrupted fetch goes on; when the hash of what the hub
// sent is the tensor's, the file gets its header, is synced and renamed. Only complete, verified files are ever mapped.
// Threads: check and write on the store thread; matrix, vector and retain on the compute thread, for tensors a check reported present.
class ShardStore final : public ShardSource {
 public:
  static Result<std::unique_ptr<ShardStore>> open(const std::string& directory);
  ~ShardStore() override;

  // What of `tensors` is on disk (verified once, then kept mapped), what is missing and where each would resume. Files that are
  // not what their names say are removed. Also tells which tensors matrix() and vector() serve by name from now on.
  StoreChecked check(Epoch epoch, std::span<const TensorRef> tensors);

  // Repacks and appends one ShardData. StoreFailed where it does not continue the file, the disk refuses, or the finished tensor's hash is
  // wrong (restart).
  std::variant<ShardWritten, StoreFailed> write(const TensorRef& tensor, const ShardData& data);

  // Unmaps what is neither among these nor was asked for by the latest check (a plan in preparation).
  void retain(std::span<const TensorRef> tensors);

  Result<PanelMatrix> matrix(const TensorSpec& spec) override;
  Result<std::span<const float>> vector(const TensorSpec& spec) override;

 private:
  struct Entry;
  struct Part;
  explicit ShardStore(std::string directory);

  std::string path_of(const TensorRef& tensor, const char* suffix = "") const;
  bool map_if_present(const TensorRef& tensor);
  Result<Entry*> find(const TensorSpec& spec);

  const std::string directory_;
  std::mutex mutex_;                                 // guards the three below
  std::map<Sha256, std::unique_ptr<Entry>> mapped_;
  std::map<std::string, Sha256> by_name_;
  std::set<Sha256> checked_;                         // by the latest check
  std::unique_ptr<Part> part_;                       // the tensor being written; store thread only
};

}  // namespace shoal
