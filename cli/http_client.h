#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoal {

// A small client of a coordinator's HTTP API. Home of <curl/curl.h> together with cli/download.cpp. One
// thread at a time.
class HttpClient {
 public:
  HttpClient(std::string base_url, std::string api_key);

  // A whole exchange may last this long; zero (the default) for as long as it takes.
  void set_timeout(std::chrono::milliseconds timeout) { timeout_ = timeout; }

  struct Response {
    long status = 0;
    std::string body;
  };
  // Unavailable, in words, where nothing answers.
  Result<Response> get(const std::string& path);
  Result<Response> post(const std::string& path, const std::string& json);

  // Posts and hands over each server-sent event's data as it comes. Returns the status and, where it is not
  // 200, the body. `stop` ends it early (the server then frees the request).
  Result<Response> stream(const std::string& path, const std::string& json,
                          const std::function<void(std::string_view data)>& on_event,
                          const std::atomic<bool>* stop = nullptr);

 private:
  Result<Response> perform(const std::string& path, const std::string* json,
                           const std::function<void(std::string_view)>* on_event,
                           const std::atomic<bool>* stop);

  std::string base_url_;
  std::string api_key_;
  std::chrono::milliseconds timeout_{0};
};

// The words of an OpenAI error object, or the status and the beginning of the body.
std::string error_message_of(const HttpClient::Response& response);

// Where `shoal run`, `chat` and `status` look unless told: SHOAL_URL, else http://127.0.0.1:8080.
std::string default_server_url();
std::string default_api_key();  // SHOAL_API_KEY

}  // namespace shoal
