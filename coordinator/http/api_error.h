#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "coordinator/inference.h"

namespace shoal {

// An answer that is not the one asked for, as an OpenAI client reads it:
// {"error": {"message", "type", "param", "code"}} with an HTTP status.
struct ApiError {
  int status = 500;
  std::string message;
  std::string param;            // the field at fault; empty: null
  std::string code;             // "model_not_found", "context_length_exceeded"...; empty: null
  int retry_after_seconds = 0;  // > 0: sent as Retry-After
  std::string allow;            // 405: the methods that do work

  const char* type() const;  // "invalid_request_error", "authentication_error"..., by status
  std::string to_json() const;
};

ApiError bad_request(std::string message, std::string param = {}, std::string code = {});
ApiError not_found(std::string message, std::string code);
ApiError context_overflow(std::string param, std::size_t prompt_tokens, std::size_t answer_tokens,
                          std::size_t max_context);
ApiError server_broke(std::string message);

// What a failure inside the cluster is over HTTP. `api_code` may be empty.
ApiError to_api_error(ErrorCode code, std::string message, std::string api_code);

}  // namespace shoal
