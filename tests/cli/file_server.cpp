#include "tests/cli/file_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <sstream>

#include "base/check.h"

namespace shoal {
namespace {

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::size_t number_of(const std::string& text) {
  std::size_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

FileServer::Request parse_head(const std::string& head) {
  FileServer::Request request;
  std::istringstream lines(head);
  lines >> request.method >> request.target;
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line) && line.size() > 1) {
    const std::size_t colon = line.find(": ");
    if (colon != std::string::npos)
      request.headers[lower(line.substr(0, colon))] = line.substr(colon + 2, line.size() - colon - 3);
  }
  return request;
}

void send_all(int connection, const std::string& bytes) {
  for (std::size_t sent = 0; sent < bytes.size();) {
    const ssize_t done = ::send(connection, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (done <= 0) return;
    sent += static_cast<std::size_t>(done);
  }
}

}  // namespace

FileServer::FileServer(Handler handler) : handler_(std::move(handler)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  SHOAL_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), length) == 0);
  SHOAL_CHECK(::listen(listener_, 16) == 0);
  SHOAL_CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

FileServer::~FileServer() {
  ::shutdown(listener_, SHUT_RDWR);  // wakes accept()
  thread_.join();
  ::close(listener_);
}

std::string FileServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<FileServer::Request> FileServer::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void FileServer::serve() {
  for (;;) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    answer_one(connection);
    ::close(connection);
  }
}

void FileServer::answer_one(int connection) {
  std::string bytes;
  char buffer[65536];
  std::size_t head_end = std::string::npos;
  Request request;
  while (head_end == std::string::npos ||
         bytes.size() - head_end < number_of(request.headers["content-length"])) {
    const ssize_t got = ::recv(connection, buffer, sizeof buffer, 0);
    if (got <= 0) return;
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (head_end != std::string::npos || bytes.find("\r\n\r\n") == std::string::npos) continue;
    head_end = bytes.find("\r\n\r\n") + 4;
    request = parse_head(bytes.substr(0, head_end));
  }
  request.body = bytes.substr(head_end);
  const Answer answer = handler_(request);
  {
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
  }
  const std::size_t stated = answer.stated_size == SIZE_MAX ? answer.body.size() : answer.stated_size;
  std::string head = "HTTP/1.1 " + answer.status + "\r\nContent-Length: " + std::to_string(stated) +
                     "\r\nConnection: close\r\n";
  for (const std::string& header : answer.headers) head += header + "\r\n";
  send_all(connection, head + "\r\n" + answer.body);
}

FileServer::Answer answer_with_ranges(const FileServer::Request& request, const std::string& content,
                                      const std::string& etag) {
  FileServer::Answer answer;
  if (!etag.empty()) answer.headers.push_back("ETag: " + etag);
  const auto range = request.headers.find("range");
  const auto if_range = request.headers.find("if-range");
  const bool same = if_range == request.headers.end() || if_range->second == etag;
  if (range == request.headers.end() || !same) {
    answer.body = content;
    return answer;
  }
  const std::size_t begin = number_of(range->second.substr(std::string("bytes=").size()));
  if (begin >= content.size()) return {.status = "416 Range Not Satisfiable"};
  answer.status = "206 Partial Content";
  answer.headers.push_back("Content-Range: bytes " + std::to_string(begin) + "-" +
                           std::to_string(content.size() - 1) + "/" + std::to_string(content.size()));
  answer.body = content.substr(begin);
  return answer;
}

}  // namespace shoal
