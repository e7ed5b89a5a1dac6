#include "coordinator/http/api_error.h"

#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

constexpr int kRetryAfterSeconds = 2;  // about one repair

int status_of(ErrorCode code, std::string_view api_code) {
  if (api_code == "queue_full" || api_code == "rate_limit_exceeded") return 429;
  switch (code) {
    case ErrorCode::InvalidArgument:
    case ErrorCode::Unsupported:
      return 400;
    case ErrorCode::NotFound:
      return 404;
    case ErrorCode::Timeout:
    case ErrorCode::Unavailable:
    case ErrorCode::StaleEpoch:
    case ErrorCode::OutOfMemory:
      return 503;
    case ErrorCode::Corrupt:
    case ErrorCode::Internal:
      return 500;
  }
  return 500;
}

void put_or_null(JsonWriter& out, std::string_view name, const std::string& text) {
  if (text.empty()) {
    out.null_member(name);
  } else {
    out.member(name, text);
  }
}

}  // namespace

const char* ApiError::type() const {
  if (status == 401) return "authentication_error";
  if (status == 403) return "permission_error";
  if (status == 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

std::string ApiError::to_json() const {
  JsonWriter out;
  out.begin_object().key("error").begin_object().member("message", message).member("type", type());
  put_or_null(out, "param", param);
  put_or_null(out, "code", code);
  out.end_object().end_object();
  return out.take();
}

ApiError bad_request(std::string message, std::string param, std::string code) {
  return {.status = 400,
          .message = std::move(message),
          .param = std::move(param),
          .code = std::move(code),
          .allow = {}};
}

ApiError not_found(std::string message, std::string code) {
  return {.status = 404, .message = std::move(message), .param = {}, .code = std::move(code), .allow = {}};
}

ApiError context_overflow(std::string param, std::size_t prompt_tokens, std::size_t answer_tokens,
                          std::size_t max_context) {
  const std::size_t asked = prompt_tokens + answer_tokens;
  return bad_request("This model's maximum context length is " + std::to_string(max_context) +
                         " tokens, but the request asks for " + std::to_string(asked) + " tokens (" +
                         std::to_string(prompt_tokens) + " in the prompt, " + std::to_string(answer_tokens) +
                         " for the answer). Shorten the prompt or ask for a shorter answer.",
                     std::move(param), "context_length_exceeded");
}

ApiError server_broke(std::string message) {
  return {.status = 500, .message = std::move(message), .param = {}, .code = "internal_error", .allow = {}};
}

ApiError to_api_error(ErrorCode code, std::string message, std::string api_code) {
  const int status = status_of(code, api_code);
  if (api_code.empty()) api_code = name_of(code);
  return {.status = status,
          .message = std::move(message),
          .param = {},
          .code = std::move(api_code),
          .retry_after_seconds = status == 429   ? 1
                                 : status == 503 ? kRetryAfterSeconds
                                                 : 0,
          .allow = {}};
}

}  // namespace shoal
