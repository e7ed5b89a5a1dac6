#include "cli/download.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

namespace shoal {
namespace {

constexpr long kConnectSeconds = 15;
constexpr long kStalledSeconds = 60;
constexpr long kMaxRedirections = 5;
constexpr std::size_t kMaxMarkBytes = 1024;

using CurlHandle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using FileHandle = std::unique_ptr<std::FILE, CloseFile>;

// Which version of which file the gathered bytes are of.
struct Origin {
  std::string url;
  std::string mark;  // a strong ETag or Last-Modified; "" where the server gives none
};

Origin read_origin(const std::string& path) {
  Origin origin;
  std::ifstream file(path);
  std::getline(file, origin.url);
  std::getline(file, origin.mark);
  return origin;
}

struct Transfer {
  CURL* curl = nullptr;
  std::string part;
  std::string url;
  std::uint64_t begin = 0;  // bytes gathered before
  const BytesProgress* progress = nullptr;
  const std::atomic<bool>* stop = nullptr;
  FileHandle file;
  std::string etag;
  std::string modified;
  bool opened = false;
  bool write_failed = false;

  long status() const {
    long code = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    return code;
  }

  // At the first byte of the answer it is known whether the server goes on (206) or begins again (200).
  bool open_file() {
    if (status() == 200) begin = 0;
    std::ofstream(part + ".from") << url << '\n' << (etag.empty() ? modified : etag) << '\n';
    file.reset(std::fopen(part.c_str(), begin > 0 ? "ab" : "wb"));
    opened = file != nullptr;
    return opened;
  }
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::size_t bytes = size * count;
  const long status = transfer.status();
  if (status != 200 && status != 206) return bytes;  // an error page
  transfer.write_failed =
      (!transfer.file && !transfer.open_file()) || std::fwrite(data, 1, bytes, transfer.file.get()) != bytes;
  return transfer.write_failed ? 0 : bytes;
}

std::size_t on_header(char* data, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  std::string_view line(data, size * count);
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {  // a redirection's headers are not the file's
    transfer.etag.clear();
    transfer.modified.clear();
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.size() > kMaxMarkBytes) return size * count;
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  std::string_view value = line.substr(colon + 1);
  while (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "etag" && !value.starts_with("W/"))
    transfer.etag = value;  // a weak one promises no equal bytes
  if (name == "last-modified") transfer.modified = value;
  return size * count;
}

int on_progress(void* context, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::uint64_t begin = transfer.status() == 206 ? transfer.begin : 0;
  if (total > 0)
    (*transfer.progress)(begin + static_cast<std::uint64_t>(now), begin + static_cast<std::uint64_t>(total));
  return *transfer.stop ? 1 : 0;
}

void set_options(CURL* curl, Transfer& transfer, curl_slist* headers) {
  curl_easy_setopt(curl, CURLOPT_URL, transfer.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, kMaxRedirections);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &transfer);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
  if (transfer.begin > 0)
    curl_easy_setopt(curl, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(transfer.begin));
}

// Bytes of an earlier fetch that can be gone on with, and what proves that the server still has the same
// file.
std::uint64_t resumable_bytes(const std::string& part, const Origin& origin, const std::string& url) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(part, error);
  return error || origin.url != url || origin.mark.empty() ? 0 : size;
}

Status finish(const Transfer& transfer, CURLcode code, const std::string& path) {
  if (*transfer.stop) return fail(ErrorCode::Unavailable, "stopped; the next pull goes on from here");
  const std::string what = "fetching " + transfer.url + ": ";
  if (transfer.write_failed)
    return fail(ErrorCode::Unavailable, what + "writing " + transfer.part + " failed: is the disk full?");
  if (code != CURLE_OK)
    return fail(ErrorCode::Unavailable,
                what + curl_easy_strerror(code) + "; the next pull goes on from here");
  if (transfer.status() != 200 && transfer.status() != 206) {
    return fail(ErrorCode::Unavailable,
                what + "the server answers with HTTP status " + std::to_string(transfer.status()));
  }
  if (!transfer.opened) return fail(ErrorCode::Unavailable, what + "the server sent an empty file");
  std::error_code error;
  std::filesystem::rename(transfer.part, path, error);
  if (error) return fail(ErrorCode::Unavailable, "naming " + path + ": " + error.message());
  std::filesystem::remove(transfer.part + ".from", error);
  return {};
}

Status fetch(const std::string& url, const std::string& path, const BytesProgress& progress,
             const std::atomic<bool>& stop, bool may_resume) {
  const CurlHandle curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) return fail(ErrorCode::Internal, "libcurl cannot start");
  Transfer transfer{
      .curl = curl.get(), .part = path + ".part", .url = url, .progress = &progress, .stop = &stop};
  const Origin origin = read_origin(transfer.part + ".from");
  if (may_resume) transfer.begin = resumable_bytes(transfer.part, origin, url);
  HeaderList headers(nullptr, &curl_slist_free_all);
  if (transfer.begin > 0) headers.reset(curl_slist_append(nullptr, ("If-Range: " + origin.mark).c_str()));
  set_options(curl.get(), transfer, headers.get());
  const CURLcode code = curl_easy_perform(curl.get());
  // Nothing is left to send (416), or the server begins again where a continuation was expected: once more
  // from the start.
  const bool refused = transfer.begin > 0 && (transfer.status() == 416 || code == CURLE_RANGE_ERROR);
  transfer.file.reset();
  if (refused && !stop) return fetch(url, path, progress, stop, /*may_resume=*/false);
  return finish(transfer, code, path);
}

}  // namespace

Status download(const std::string& url, const std::string& path, const BytesProgress& progress,
                const std::atomic<bool>& stop) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
  return fetch(url, path, progress, stop, /*may_resume=*/true);
}

}  // namespace shoal
