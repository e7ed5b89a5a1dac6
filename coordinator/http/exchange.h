#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coordinator/http/api_error.h"

namespace shoal {

// One request as the handlers see it: already bounded and parsed by the server.
struct HttpRequest {
  std::string method;  // upper case, as sent
  std::string target;  // as sent: path and query, or absolute form
  std::string body;
  std::string host;  // header values; empty when absent
  std::string authorization;
  std::string content_type;
  std::string origin;
  bool has_host = false;
  bool is_http_1_1 = true;
  std::shared_ptr<const void> body_place;  // among all clients' bodies; goes where the body goes
};

struct RequestBody {
  std::string bytes;
  std::shared_ptr<const void> place;  // held for as long as the bytes are
};

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // besides those every response carries
};

HttpResponse json_response(std::string body);
HttpResponse error_response(const ApiError& error);

// One request's way back to its client. Owned by its connection and by whoever still answers it; every call
// on the I/O thread. After the client left, or was cut for reading too slowly, all calls but closed() do
// nothing.
class Exchange {
 public:
  virtual ~Exchange() = default;

  virtual const HttpRequest& request() const = 0;
  virtual RequestBody take_body() = 0;

  // The whole answer, once, and not after start_stream.
  virtual void reply(HttpResponse response) = 0;

  // Server-sent events: 200 and headers; then any number of writes; then end_stream. A client whose unread
  // bytes pass the bound is cut.
  virtual void start_stream() = 0;
  virtual void write(std::string_view bytes) = 0;
  enum class StreamEnd { Complete, Broken };  // Broken closes the connection behind the last byte
  virtual void end_stream(StreamEnd how) = 0;

  virtual bool closed() const = 0;
  // Called at most once, when the client is gone before the answer was complete.
  virtual void on_closed(std::function<void()> handler) = 0;
  // Called at most once, when the server stops before the answer was complete. The handler ends the exchange.
  virtual void on_stopping(std::function<void()> handler) = 0;
};

// Runs a task on the thread behind it, later; from any thread. Tasks given after that thread ended are
// destroyed unrun.
using Executor = std::function<void(std::function<void()>)>;

}  // namespace shoal
