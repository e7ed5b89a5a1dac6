#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "coordinator/http/exchange.h"
#include "coordinator/http/http_limits.h"

namespace shoal {

// HTTP/1.x requests out of a connection's bytes, one after another. Strict: conflicting lengths, bad tokens
// and unknown transfer codings are refused, and every size is bounded before it is allocated. Source: RFC
// 9112. One thread at a time.
class RequestParser {
 public:
  explicit RequestParser(const HttpLimits& limits);
  ~RequestParser();

  enum class State : std::uint8_t {
    Head,      // the header is not complete
    Body,      // head() stands; the body is not complete
    Complete,  // take() it
    Refused,   // error() says why; nothing after these bytes can be understood
  };
  // Takes what it can from the front of `input`.
  State feed(std::string& input);
  State state() const { return state_; }

  const HttpRequest& head() const { return head_; }  // without body; in Body and Complete
  std::size_t body_bytes() const;                    // received so far
  bool keep_alive() const { return keep_alive_; }
  bool expects_continue() const { return expects_continue_; }
  const ApiError& error() const { return error_; }

  // The request of Complete; the parser is ready for the next.
  HttpRequest take();

 private:
  struct Beast;
  void begin();
  void read_head();
  void refuse(int status, std::string message);

  HttpLimits limits_;
  std::unique_ptr<Beast> beast_;
  State state_ = State::Head;
  HttpRequest head_;
  bool keep_alive_ = true;
  bool expects_continue_ = false;
  ApiError error_;
};

}  // namespace shoal
