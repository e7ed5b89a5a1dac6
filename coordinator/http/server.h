#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "coordinator/http/api.h"
#include "coordinator/http/http_limits.h"
#include "coordinator/inference.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace shoal {

struct HttpOptions {
  std::string address = "127.0.0.1";  // an IP address or "localhost"; other than loopback needs api.api_key
  std::uint16_t port = 8080;          // 0: any free one
  ApiOptions api;
  HttpLimits limits;
};

// The OpenAI HTTP API on a socket: HTTP/1.1 with keep-alive, pipelining and server-sent events. Two threads
// of its own: one owns every socket and all answers, one reads bodies and tokenises. A client that leaves is
// noticed at once and its sequences are cancelled.
class HttpServer {
 public:
  // InvalidArgument: the address is none, or reachable from outside without a key. Unavailable: the port is
  // taken. The references outlive the server; the service may still hold and call its sinks afterwards.
  static Result<std::unique_ptr<HttpServer>> open(HttpOptions options, InferenceService& service,
                                                  const Tokenizer& tokenizer,
                                                  const ChatTemplate& chat_template);
  ~HttpServer();  // stops

  std::uint16_t port() const;
  std::size_t num_connections() const;

  // Refuses new connections, ends running answers with an error the client can read, waits up to the linger
  // time, joins the threads. Any thread but the server's own; the second call does nothing.
  void stop();

 private:
  class Listener;
  explicit HttpServer(std::unique_ptr<Listener> listener);
  std::unique_ptr<Listener> listener_;
};

}  // namespace shoal
