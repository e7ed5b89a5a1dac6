#include "tests/coordinator/http_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

#include "base/check.h"

namespace shoal {

JsonValue HttpReply::json() const {
  Result<JsonValue> value = read_json(body);
  SHOAL_CHECK(value.has_value());
  return *std::move(value);
}

HttpClient::HttpClient(std::uint16_t port, int receive_buffer)
    : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  SHOAL_CHECK(socket_ >= 0);
  if (receive_buffer > 0)
    ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  where.sin_port = htons(port);
  where.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  SHOAL_CHECK(::connect(socket_, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0);
}

HttpClient::HttpClient(HttpClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      input_(std::move(other.input_)),
      events_(std::move(other.events_)),
      chunks_ended_(other.chunks_ended_) {}

HttpClient::~HttpClient() { close(); }

void HttpClient::close() {
  if (socket_ >= 0) ::close(socket_);
  socket_ = -1;
}

void HttpClient::end_sending() { ::shutdown(socket_, SHUT_WR); }

bool HttpClient::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void HttpClient::post(std::string_view path, std::string_view body, std::string_view more_headers) {
  std::string request =
      "POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  request.append(more_headers)
      .append("Content-Length: ")
      .append(std::to_string(body.size()))
      .append("\r\n\r\n")
      .append(body);
  send(request);
}

void HttpClient::get(std::string_view path, std::string_view more_headers) {
  send("GET " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(more_headers) + "\r\n");
}

bool HttpClient::fill(std::chrono::milliseconds patience) {
  pollfd waiting{socket_, POLLIN, 0};
  if (::poll(&waiting, 1, static_cast<int>(patience.count())) <= 0) return false;
  char bytes[16 * 1024];
  const ssize_t got = ::recv(socket_, bytes, sizeof bytes, 0);
  if (got <= 0) return false;
  input_.append(bytes, static_cast<std::size_t>(got));
  return true;
}

bool HttpClient::closed_by_server(std::chrono::milliseconds patience) {
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    pollfd waiting{socket_, POLLIN, 0};
    if (left.count() <= 0 || ::poll(&waiting, 1, static_cast<int>(left.count())) <= 0) return false;
    char bytes[16 * 1024];
    if (::recv(socket_, bytes, sizeof bytes, 0) <= 0) return true;
  }
}

std::string HttpClient::take_line() {
  std::size_t end = 0;
  while ((end = input_.find("\r\n")) == std::string::npos) {
    if (!fill()) return {};
  }
  std::string line = input_.substr(0, end);
  input_.erase(0, end + 2);
  return line;
}

HttpReply HttpClient::read_head() {
  HttpReply reply;
  chunks_ended_ = false;
  events_.clear();
  const std::string status_line = take_line();
  if (!status_line.starts_with("HTTP/1.1 ")) return reply;
  reply.status = std::stoi(status_line.substr(9, 3));
  for (std::string line = take_line(); !line.empty(); line = take_line()) {
    const std::size_t colon = line.find(": ");
    std::string name = line.substr(0, colon);
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    reply.headers[name] = line.substr(colon + 2);
  }
  return reply;
}

std::string HttpClient::next_chunk() {
  if (chunks_ended_) return {};
  const std::string line = take_line();
  std::size_t size = 0;
  std::from_chars(line.data(), line.data() + line.size(), size, 16);
  while (input_.size() < size + 2 && fill()) {
  }
  if (line.empty() || input_.size() < size + 2) {
    chunks_ended_ = true;  // cut short
    return {};
  }
  std::string chunk = input_.substr(0, size);
  input_.erase(0, size + 2);
  chunks_ended_ = chunk.empty();
  return chunk;
}

HttpReply HttpClient::read_reply(bool has_body) {
  HttpReply reply = read_head();
  if (!has_body || reply.status == 0 || reply.status == 100) return reply;
  if (reply.headers["transfer-encoding"] == "chunked") {
    for (std::string chunk = next_chunk(); !chunk.empty(); chunk = next_chunk()) reply.body += chunk;
    return reply;
  }
  const std::string length = reply.headers["content-length"];
  const std::size_t size = length.empty() ? 0 : std::stoul(length);
  while (input_.size() < size && fill()) {
  }
  reply.body = input_.substr(0, size);
  input_.erase(0, size);
  return reply;
}

SseEvent HttpClient::next_event() {
  for (;;) {
    std::size_t end = 0;
    while ((end = events_.find("\n\n")) == std::string::npos) {
      const std::string chunk = next_chunk();
      if (chunk.empty()) return {};
      events_ += chunk;
    }
    SseEvent event;
    std::string lines = events_.substr(0, end + 1);
    events_.erase(0, end + 2);
    for (std::size_t at = 0; at < lines.size();) {
      const std::size_t stop = lines.find('\n', at);
      const std::string line = lines.substr(at, stop - at);
      if (line.starts_with("id: ")) event.id = line.substr(4);
      if (line.starts_with("data: ")) event.data = line.substr(6);
      at = stop + 1;
    }
    if (!event.data.empty()) return event;
  }
}

std::vector<SseEvent> HttpClient::read_events() {
  std::vector<SseEvent> events;
  for (SseEvent event = next_event(); !event.data.empty(); event = next_event()) events.push_back(event);
  return events;
}

HttpReply post_json(std::uint16_t port, std::string_view path, std::string_view body,
                    std::string_view more_headers) {
  HttpClient client(port);
  client.post(path, body, more_headers);
  return client.read_reply();
}

HttpReply get_path(std::uint16_t port, std::string_view path, std::string_view more_headers) {
  HttpClient client(port);
  client.get(path, more_headers);
  return client.read_reply();
}

const JsonValue& at(const JsonValue& root, std::string_view path) {
  static const JsonValue kNull;
  const JsonValue* value = &root;
  while (!path.empty()) {
    const std::string_view step = path.substr(0, path.find('.'));
    path.remove_prefix(std::min(path.size(), step.size() + 1));
    if (const JsonValue::Array* items = value->array()) {
      std::size_t index = items->size();
      std::from_chars(step.data(), step.data() + step.size(), index);
      if (index >= items->size()) return kNull;
      value = &(*items)[index];
    } else {
      value = value->find(step);
      if (value == nullptr) return kNull;
    }
  }
  return *value;
}

std::string text_at(const JsonValue& root, std::string_view path) {
  const std::string* text = at(root, path).string();
  return text == nullptr ? std::string() : *text;
}

std::int64_t integer_at(const JsonValue& root, std::string_view path) {
  const std::int64_t* whole = at(root, path).integer();
  return whole == nullptr ? -1 : *whole;
}

}  // namespace shoal
