#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/tiny_model.h"
#include "transport/messages.h"

namespace shoal {

// A model's tensors as a plan names them (all of them, or those of `units`), with their real hashes.
std::vector<TensorRef> tensor_refs(const TinyModel& model);
std::vector<TensorRef> tensor_refs(const TinyModel& model, Range units);

// What the hub answers to the request, in chunks of `chunk_bytes`.
ShardData shard_data(const TinyModel& model, const TensorRef& tensor, std::uint32_t first_panel,
                     std::uint32_t num_panels, std::size_t chunk_bytes = 1 << 20);

// A plan for `model` cut before the units in `cuts`; stage i runs on devices[i].
PlanMessage plan_for(const TinyModel& model, Epoch epoch, const std::vector<std::uint32_t>& cuts,
                     const std::vector<DeviceId>& devices);

// An empty directory for one test, removed with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  std::vector<std::string> names() const;  // sorted, "lock" left out

 private:
  std::string path_;
};

}  // namespace shoal
