#include "worker/shard_store.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <set>
#include <thread>

#include "base/file_lock.h"
#include "base/log.h"
#include "worker/shard_part.h"

namespace shoal {
namespace {

constexpr auto kLockPatience =
    std::chrono::seconds(2);  // a worker that is being replaced may still be ending

Result<FileLock> lock_directory(const std::string& directory) {
  const auto until = std::chrono::steady_clock::now() + kLockPatience;
  for (;;) {
    Result<std::optional<FileLock>> lock = FileLock::try_take(directory + "/lock");
    if (!lock) {
      return fail(ErrorCode::Unavailable, "the shard store " + directory + " is not writable (" +
                                              lock.error().message() +
                                              "): give another directory with --state");
    }
    if (*lock) return **std::move(lock);
    if (std::chrono::steady_clock::now() >= until) {
      return fail(ErrorCode::Unavailable, "another worker uses the shard store " + directory +
                                              ": give each its own directory with --state");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace

struct ShardStore::Entry {
  TensorRef tensor;
  MappedFile file;
  Epoch wanted_by{};  // the latest plan that asked for it
};

struct ShardStore::Part {
  ShardPart part;
};

ShardStore::ShardStore(std::string directory, FileLock lock)
    : directory_(std::move(directory)), lock_(std::move(lock)) {}

ShardStore::~ShardStore() { part_.reset(); }  // before the lock goes

Result<std::unique_ptr<ShardStore>> ShardStore::open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error)
    return fail(ErrorCode::Unavailable, "creating the shard store " + directory + ": " + error.message() +
                                            ": give another directory with --state");
  Result<FileLock> lock = lock_directory(directory);
  if (!lock) return fail(lock.error());
  std::unique_ptr<ShardStore> store(new ShardStore(directory, *std::move(lock)));
  store->remove_leftovers();
  return store;
}

// A part without its resume point (or the reverse) can never be gone on with. Other layouts' files are
// another version's: left alone.
void ShardStore::remove_leftovers() {
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(directory_, error)) {
    const std::filesystem::path& path = file.path();
    const std::filesystem::path base = path.parent_path() / path.stem();
    const auto lacks = [&](const char* suffix) {
      return !std::filesystem::exists(base.string() + suffix, error);
    };
    const bool is_orphan = (path.extension() == ".part" && lacks(".resume")) ||
                           (path.extension() == ".resume" && lacks(".part")) || path.extension() == ".new";
    if (is_orphan) std::filesystem::remove(path, error);
  }
}

std::string ShardStore::path_of(const TensorRef& tensor) const {
  return directory_ + "/" + panel_file_name(tensor);
}

bool ShardStore::map_if_present(const TensorRef& tensor) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto known = mapped_.find(tensor.sha256); known != mapped_.end()) {
      known->second->wanted_by = std::max(known->second->wanted_by, epoch_);
      return true;
    }
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
  auto entry = std::unique_ptr<Entry>(new Entry{tensor, *std::move(file), epoch_});
  const std::lock_guard lock(mutex_);
  mapped_.emplace(tensor.sha256, std::move(entry));
  return true;
}

StoreChecked ShardStore::check(Epoch epoch, std::span<const TensorRef> tensors) {
  part_.reset();  // saves how far it came
  epoch_ = epoch;
  StoreChecked result{.epoch = epoch};
  std::set<Sha256> seen;
  for (const TensorRef& tensor : tensors) {
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
  num_missing_ = result.missing.size();
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
  for (const Payload& chunk : data.payload)
    gguf_bytes.insert(gguf_bytes.end(), chunk.bytes().begin(), chunk.bytes().end());
  const std::uint64_t first_row = tensor.is_matrix ? data.first_panel * kPanelRows : 0;
  const std::uint64_t rows =
      tensor.is_matrix ? std::min<std::uint64_t>(data.num_panels * kPanelRows, tensor.rows - first_row)
                       : tensor.rows;
  if (gguf_bytes.size() != rows * gguf_row_bytes(static_cast<WeightType>(tensor.type), tensor.cols)) {
    return failed("tensor " + tensor.name + " arrived with a wrong size", true);
  }
  if (Status appended = part.append(data.num_panels, gguf_bytes); !appended)
    return failed(appended.error().message(), false);

  ShardWritten written{tensor.sha256, data.first_panel, data.num_panels, 0,
                       part.num_panels_in() == num_panels};
  written.stored_bytes = stored_body_bytes(tensor) / num_panels * data.num_panels;
  if (!written.complete) return written;
  const Status finished = part.finish();
  part_.reset();
  if (!finished) return failed(finished.error().message(), finished.error().code() == ErrorCode::Corrupt);
  if (!map_if_present(tensor))
    return failed("tensor " + tensor.name + " cannot be read back from " + path_of(tensor), true);
  if (num_missing_ > 0) --num_missing_;
  unsynced_ = true;
  return written;
}

void ShardStore::sync() {
  if (!unsynced_ || num_missing_ > 0) return;
  unsynced_ = false;
  if (::syncfs(lock_.file()) != 0)
    log_warn("store_not_synced", {{"directory", directory_}, {"reason", std::strerror(errno)}});
}

void ShardStore::serve(std::span<const TensorRef> tensors) {
  served_.clear();
  for (const TensorRef& tensor : tensors) served_[tensor.name] = tensor.sha256;
}

void ShardStore::retain(Epoch epoch) {
  const std::lock_guard lock(mutex_);
  std::erase_if(mapped_, [&](const auto& mapped) { return mapped.second->wanted_by < epoch; });
}

// The bytes stay mapped until the compute thread itself retains a later plan.
Result<Bytes> ShardStore::find(const TensorSpec& spec) {
  const auto name = served_.find(spec.file_name);
  const std::lock_guard lock(mutex_);
  const auto entry = name == served_.end() ? mapped_.end() : mapped_.find(name->second);
  if (entry == mapped_.end())
    return fail(ErrorCode::NotFound, "tensor " + spec.file_name + " is not in the shard store");
  const TensorRef& tensor = entry->second->tensor;
  const bool is_it = tensor.rows == spec.rows && tensor.cols == spec.cols &&
                     tensor.type == static_cast<std::uint32_t>(spec.type) &&
                     tensor.is_matrix == spec.is_matrix;
  if (!is_it)
    return fail(ErrorCode::Corrupt,
                "tensor " + spec.file_name + " in the shard store has another shape than the plan's");
  return panel_file_body(entry->second->file);
}

Result<PanelMatrix> ShardStore::matrix(const TensorSpec& spec) {
  const Result<Bytes> body = find(spec);
  if (!body) return fail(body.error());
  return PanelMatrix{spec.type, spec.rows, spec.cols, body->data()};
}

Result<std::span<const float>> ShardStore::vector(const TensorSpec& spec) {
  const Result<Bytes> body = find(spec);
  if (!body) return fail(body.error());
  static_assert(kPanelFileHeaderBytes % alignof(float) == 0);  // and mappings begin at pages
  return std::span<const float>(reinterpret_cast<const float*>(body->data()), body->size() / sizeof(float));
}

}  // namespace shoal
