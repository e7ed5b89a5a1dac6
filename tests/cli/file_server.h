#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace shoal {

// A small HTTP server on a thread of its own, 127.0.0.1 and any port: what a download or a chat meets,
// answers made by the test. One connection at a time, one request a connection.
class FileServer {
 public:
  struct Request {
    std::string method;
    std::string target;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
  };
  struct Answer {
    std::string status = "200 OK";
    std::vector<std::string> headers;
    std::string body;
    std::size_t stated_size =
        SIZE_MAX;  // Content-Length, where it is not the body's: the connection breaks off early
  };
  using Handler = std::function<Answer(const Request&)>;

  explicit FileServer(Handler handler);
  ~FileServer();
  FileServer(const FileServer&) = delete;
  FileServer& operator=(const FileServer&) = delete;

  std::string url(const std::string& path) const;
  std::vector<Request> requests() const;

 private:
  void serve();
  void answer_one(int connection);

  Handler handler_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;
  std::thread thread_;
};

// Serves `content` under any path, with byte ranges and If-Range, and `etag` as its mark.
FileServer::Answer answer_with_ranges(const FileServer::Request& request, const std::string& content,
                                      const std::string& etag);

}  // namespace shoal
