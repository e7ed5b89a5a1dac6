#include "cli/http_client.h"

#include <curl/curl.h>

#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>

namespace shoal {
namespace {

using CurlHandle = std::unique_ptr<CURL, decltype(&curl_easy_cleanup)>;
using HeaderList = std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)>;

constexpr long kConnectSeconds = 5;
constexpr std::size_t kMaxShownBody = 200;
constexpr const char* kKeyHint = " (Here: --api-key KEY, or SHOAL_API_KEY.)";
constexpr std::size_t kMaxBodyBytes = 256 << 20;

struct Transfer {
  CURL* curl = nullptr;
  HttpClient::Response response;
  const std::function<void(std::string_view)>* on_event = nullptr;
  const std::atomic<bool>* stop = nullptr;
  std::string line;

  bool is_streaming() {
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &response.status);
    return on_event && response.status == 200;
  }

  // Events are lines "data: ..." between blank lines; ours put each payload on one line.
  void take_event_bytes(std::string_view bytes) {
    for (const char c : bytes) {
      if (c != '\n') {
        line += c;
        continue;
      }
      if (line.ends_with('\r')) line.pop_back();
      if (line.starts_with("data: ")) (*on_event)(std::string_view(line).substr(6));
      line.clear();
    }
  }
};

std::size_t on_body(char* data, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  const std::string_view bytes(data, size * count);
  if (transfer.is_streaming()) {
    transfer.take_event_bytes(bytes);
  } else if (transfer.response.body.size() + bytes.size() <= kMaxBodyBytes) {
    transfer.response.body += bytes;
  } else {
    return 0;
  }
  return bytes.size();
}

// Why nothing came back from the server at `base_url`, and what to do.
std::string transport_fault(CURLcode code, const std::string& base_url) {
  switch (code) {
    case CURLE_COULDNT_CONNECT:
    case CURLE_OPERATION_TIMEDOUT:
      return "no coordinator answers at " + base_url + ": start one (shoal up CONFIG) or give --url";
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_COULDNT_RESOLVE_HOST:
      return "\"" + base_url + "\" leads to no host: --url (or SHOAL_URL) is like http://127.0.0.1:8080";
    default:
      return "no answer of a coordinator comes from " + base_url + ": " + curl_easy_strerror(code);
  }
}

int on_progress(void* context, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  const auto& transfer = *static_cast<Transfer*>(context);
  return transfer.stop && *transfer.stop ? 1 : 0;
}

}  // namespace

HttpClient::HttpClient(std::string base_url, std::string api_key)
    : base_url_(std::move(base_url)), api_key_(std::move(api_key)) {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  (void)once;
  while (base_url_.ends_with('/')) base_url_.pop_back();
}

Result<HttpClient::Response> HttpClient::get(const std::string& path) {
  return perform(path, nullptr, nullptr, nullptr);
}
Result<HttpClient::Response> HttpClient::post(const std::string& path, const std::string& json) {
  return perform(path, &json, nullptr, nullptr);
}
Result<HttpClient::Response> HttpClient::stream(const std::string& path, const std::string& json,
                                                const std::function<void(std::string_view)>& on_event,
                                                const std::atomic<bool>* stop) {
  return perform(path, &json, &on_event, stop);
}

Result<HttpClient::Response> HttpClient::perform(const std::string& path, const std::string* json,
                                                 const std::function<void(std::string_view)>* on_event,
                                                 const std::atomic<bool>* stop) {
  const CurlHandle curl(curl_easy_init(), &curl_easy_cleanup);
  if (!curl) return fail(ErrorCode::Internal, "libcurl cannot start");
  Transfer transfer{.curl = curl.get(), .response = {}, .on_event = on_event, .stop = stop, .line = {}};
  const std::string url = base_url_ + path;
  HeaderList headers(nullptr, &curl_slist_free_all);
  const auto add_header = [&](const std::string& header) {
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  };
  add_header("Expect:");
  if (json) add_header("Content-Type: application/json");
  if (!api_key_.empty()) add_header("Authorization: Bearer " + api_key_);
  curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_.count()));
  curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROXY,
                   "*");  // the hub is near; no proxy of the wide world stands between
  curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &transfer);
  curl_easy_setopt(curl.get(), CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFOFUNCTION, on_progress);
  curl_easy_setopt(curl.get(), CURLOPT_XFERINFODATA, &transfer);
  if (json) {
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(json->size()));
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, json->data());
  }
  curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  const CURLcode code = curl_easy_perform(curl.get());
  curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &transfer.response.status);
  if (code == CURLE_OK || (code == CURLE_ABORTED_BY_CALLBACK && stop && *stop))
    return std::move(transfer.response);
  return fail(ErrorCode::Unavailable, transport_fault(code, base_url_));
}

std::string error_message_of(const HttpClient::Response& response) {
  const nlohmann::json json = nlohmann::json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  if (json.is_object() && json.contains("error") && json["error"].is_object()) {
    const auto message = json["error"].find("message");
    if (message != json["error"].end() && message->is_string())
      return message->get<std::string>() + (response.status == 401 ? kKeyHint : "");
  }
  const std::string status = "HTTP status " + std::to_string(response.status);
  return response.body.empty() ? status : status + ": " + response.body.substr(0, kMaxShownBody);
}

std::string default_server_url() {
  const char* url = std::getenv("SHOAL_URL");
  return url && *url ? url : "http://127.0.0.1:8080";
}

std::string default_api_key() {
  const char* key = std::getenv("SHOAL_API_KEY");
  return key ? key : "";
}

}  // namespace shoal
