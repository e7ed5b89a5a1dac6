#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/http/json_value.h"

namespace shoal {

inline constexpr std::chrono::milliseconds kClientPatience{10'000};

struct HttpReply {
  int status = 0;                              // 0: the connection ended first
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  JsonValue json() const;
};

struct SseEvent {
  std::string id;
  std::string data;  // "[DONE]", or JSON
};

// A raw HTTP client on a plain socket: it can be slow, rude and wrong.
class HttpClient {
 public:
  explicit HttpClient(std::uint16_t port, int receive_buffer = 0);
  HttpClient(HttpClient&& other) noexcept;
  HttpClient(const HttpClient&) = delete;
  ~HttpClient();

  bool send(std::string_view bytes);
  void post(std::string_view path, std::string_view body, std::string_view more_headers = {});
  void get(std::string_view path, std::string_view more_headers = {});
  void end_sending();
  void close();

  HttpReply read_reply(bool has_body = true);
  HttpReply read_head();  // then next_chunk() until it gives ""
  std::string next_chunk();
  std::vector<SseEvent> read_events();  // after read_head(), to the stream's end; comments are left out
  SseEvent next_event();                // data empty: the stream ended
  // True once the server has closed the connection; false when it is still open after `patience`.
  bool closed_by_server(std::chrono::milliseconds patience = kClientPatience);

 private:
  bool fill(std::chrono::milliseconds patience = kClientPatience);
  std::string take_line();

  int socket_ = -1;
  std::string input_;
  std::string events_;
  bool chunks_ended_ = false;
};

HttpReply post_json(std::uint16_t port, std::string_view path, std::string_view body,
                    std::string_view more_headers = {});
HttpReply get_path(std::uint16_t port, std::string_view path, std::string_view more_headers = {});

// The value at "choices.0.delta.content"; a missing step gives a null value.
const JsonValue& at(const JsonValue& root, std::string_view path);
std::string text_at(const JsonValue& root, std::string_view path);      // "" when no string
std::int64_t integer_at(const JsonValue& root, std::string_view path);  // -1 when no integer

}  // namespace shoal
