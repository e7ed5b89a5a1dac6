#include "worker/shard_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include "base/log.h"
#include "worker/shard_part.h"

namespace shoal {

struct ShardStore::Entry {
  TensorRef tensor;
  MappedFile file;
  std::vector<float> floats;  // a vector widened to f32, once asked for

  Entry(TensorRef t, MappedFile f) : tensor(std::move(t)), file(std::move(f)) {}
};

struct ShardStore::Part {
  ShardPart part;
};

ShardStore::ShardStore(std::string directory) : directory_(std::move(directory)) {}
ShardStore::~ShardStore() = default;

Result<std::unique_ptr<ShardStore>> ShardStore::open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail(ErrorCode::Unavailable, "creating the shard store " + directory + ": " + error.message());
  if (::access(directory.c_str(), R_OK | W_OK | X_OK) != 0) {
    return fail(ErrorCode::Unavailable, "the shard store " + directory + " is not writable: give another directory with --state");
  }
  return std::unique_ptr<ShardStore>(new ShardStore(directory));
}

std::string ShardStore::path_of(const TensorRef& tensor, const char* suffix) const {
  return directory_ + "/" + panel_file_name(tensor) + suffix;
}

bool ShardStore::map_if_present(const TensorRef& tensor) {
  {
    const std::lock_guard lock(mutex_);
    if (mapped_.contains(tensor.sha256)) return true;
  }
  const std::string path = path_of(tensor);
  Result<MappedFile> file = open_panel_file(path, tensor);
  if (!file) {
    if (file.error().code() == ErrorCode::Corrupt) {
      log_warn("store_file_removed", {{"reason", file.error().message()}});
      ::unlink(path.c_str());
    }
    return false;
  }
  auto entry = std::make_unique<Entry>(tensor, *std::move(file));
  const std::lock_guard lock(mutex_);
  mapped_.emplace(tensor.sha256, std::move(entry));
  return true;
}

StoreChecked ShardStore::check(Epoch epoch, std::span<const TensorRef> tensors) {
  part_.reset();  // saves how far it came
  StoreChecked result{.epoch = epoch};
  std::set<Sha256> seen;
  {
    const std::lock_guard lock(mutex_);
    checked_.clear();
    for (const TensorRef& tensor : tensors) checked_.insert(tensor.sha256);
  }
  for (const TensorRef& tensor : tensors) {
    {
      const std::lock_guard lock(mutex_);
      by_name_[tensor.name] = tensor.sha256;
    }
    if (!seen.insert(tensor.sha256).second) continue;  // a tied head
    const std::uint64_t bytes = stored_body_bytes(tensor);
    result.bytes_total += bytes;
    if (map_if_present(tensor)) {
      result.bytes_present += bytes;
      continue;
    }
    const std::uint32_t num_panels = num_stored_panels(tensor);
    const std::uint32_t first = ShardPart::resumable_panels(path_of(tensor), tensor);
    result.bytes_present += bytes / num_panels * first;
    result.missing.push_back({tensor, first, num_panels, bytes / num_panels});
  }
  return result;
}

std::variant<ShardWritten, StoreFailed> ShardStore::write(const TensorRef& tensor, const ShardData& data) {
  const auto failed = [&](std::string reason, bool restart) {
    part_.reset();
    return StoreFailed{tensor.sha256, std::move(reason), restart};
  };
  if (!part_ || part_->part.tensor().sha256 != tensor.sha256) {
    Result<ShardPart> part = ShardPart::open(path_of(tensor), tensor);
    if (!part) return failed(part.error().message(), false);
    part_ = std::make_unique<Part>(Part{*std::move(part)});
  }
  ShardPart& part = part_->part;
  const std::uint32_t num_panels = num_stored_panels(tensor);
  if (data.first_panel != part.num_panels_in() || data.num_panels > num_panels - data.first_panel) {
    return failed("tensor " + tensor.name + " arrived out of order", true);
  }
  std::vector<std::byte> gguf_bytes;
  for (const Payload& chunk : data.payload) gguf_bytes.insert(gguf_bytes.end(), chunk.bytes().begin(), chunk.bytes().end());
  const std::uint64_t first_row = tensor.is_matrix ? data.first_panel * kPanelRows : 0;
  const std::uint64_t rows = tensor.is_matrix ? std::min<std::uint64_t>(data.num_panels * kPanelRows, tensor.rows - first_row) : tensor.rows;
  if (gguf_bytes.size() != rows * gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols)) {
    return failed("tensor " + tensor.name + " arrived with a wrong size", true);
  }
  if (Status appended = part.append(data.num_panels, gguf_bytes); !appended) return failed(appended.error().message(), false);

  ShardWritten written{tensor.sha256, data.first_panel, data.num_panels, 0, part.num_panels_in() == num_panels};
  written.stored_bytes = stored_body_bytes(tensor) / num_panels * data.num_panels;
  if (!written.complete) return written;
  Status finished = part.finish();
  part_.reset();
  if (!finished) return failed(finished.error().message(), finished.error().code() == ErrorCode::Corrupt);
  if (!map_if_present(tensor)) return failed("tensor " + tensor.name + " cannot be read back from " + path_of(tensor), true);
  return written;
}

void ShardStore::retain(std::span<const TensorRef> tensors) {
  const std::lock_guard lock(mutex_);
  std::erase_if(mapped_, [&](const auto& mapped) {
    const auto is_it = [&](const TensorRef& t) { return t.sha256 == mapped.first; };
    return !checked_.contains(mapped.first) && std::ranges::none_of(tensors, is_it);
  });
}

Result<ShardStore::Entry*> ShardStore::find(const TensorSpec& spec) {
  const std::lock_guard lock(mutex_);
  const auto name = by_name_.find(spec.file_name);
  const auto entry = name == by_name_.end() ? mapped_.end() : mapped_.find(name->second);
  if (entry == mapped_.end()) return fail(ErrorCode::NotFound, "tensor " + spec.file_name + " is not in the shard store");
  const TensorRef& tensor = entry->second->tensor;
  if (tensor.rows != spec.rows || tensor.cols != spec.cols || tensor.type != static_cast<std::uint32_t>(spec.type)) {
    return fail(ErrorCode::Corrupt, "tensor " + spec.file_name + " in the shard store has another shape than the plan's");
  }
  return entry->second.get();
}

Result<PanelMatrix> ShardStore::matrix(const TensorSpec& spec) {
  const Result<Entry*> entry = find(spec);
  if (!entry) return fail(entry.error());
  return PanelMatrix{spec.type, spec.rows, spec.cols, panel_file_body((*entry)->file).data()};
}

Result<std::span<const float>> ShardStore::vector(const TensorSpec& spec) {
  const Result<Entry*> found = find(spec);
  if (!found) return fail(found.error());
  Entry& entry = **found;
  if (entry.floats.empty()) {
    const Bytes body = panel_file_body(entry.file);
    entry.floats.resize(body.size() / sizeof(float));
    std::memcpy(entry.floats.data(), body.data(), body.size());
  }
  return std::span<const float>(entry.floats);
}

}  // namespace shoal
