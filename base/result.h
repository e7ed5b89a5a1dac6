#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "base/check.h"

namespace shoal {

// What the caller does next, not what went wrong inside.
enum class ErrorCode {
  Timeout,          // retry, then re-plan
  Unavailable,      // retry, then re-plan
  StaleEpoch,       // drop it, fetch the plan
  OutOfMemory,      // plan a smaller stage, or refuse with the numbers
  Corrupt,          // close that link, reject that file
  InvalidArgument,  // tell the user
  Unsupported,      // tell the user
  NotFound,         // tell the user
  Internal,         // our own bug, reported rather than stopped on
};

const char* name_of(ErrorCode code);

// One failure: what, where, and what to do, in words a user can read.
class Error {
 public:
  Error(ErrorCode code, std::string message) : code_(code), message_(std::move(message)) {}

  ErrorCode code() const { return code_; }
  const std::string& message() const { return message_; }

  // The same error with the activity it interrupted put before it: "opening model.gguf: ...".
  Error during(std::string_view activity) const {
    return Error(code_, std::string(activity) + ": " + message_);
  }

 private:
  ErrorCode code_;
  std::string message_;
};

inline const char* name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::Timeout:
      return "timeout";
    case ErrorCode::Unavailable:
      return "unavailable";
    case ErrorCode::StaleEpoch:
      return "stale_epoch";
    case ErrorCode::OutOfMemory:
      return "out_of_memory";
    case ErrorCode::Corrupt:
      return "corrupt";
    case ErrorCode::InvalidArgument:
      return "invalid_argument";
    case ErrorCode::Unsupported:
      return "unsupported";
    case ErrorCode::NotFound:
      return "not_found";
    case ErrorCode::Internal:
      return "internal";
  }
  return "unknown";
}

// fail(...) converts to any Result<T>.
struct Failure {
  Error error;
};
[[nodiscard]] inline Failure fail(ErrorCode code, std::string message) {
  return Failure{Error(code, std::move(message))};
}
[[nodiscard]] inline Failure fail(Error error) { return Failure{std::move(error)}; }

// A value or the reason there is none. The member names are std::expected's, which gcc 12 offers only
// under C++23; one day this becomes an alias.
template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : state_(std::in_place_index<1>, std::move(failure.error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return checked(); }
  const T& value() const& { return const_cast<Result*>(this)->checked(); }
  T&& value() && { return std::move(checked()); }

  T& operator*() & { return checked(); }
  const T& operator*() const& { return const_cast<Result*>(this)->checked(); }
  T&& operator*() && { return std::move(checked()); }
  T* operator->() { return &checked(); }
  const T* operator->() const { return &const_cast<Result*>(this)->checked(); }

  const Error& error() const {
    SHOAL_CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }

  T value_or(T fallback) const& { return has_value() ? **this : std::move(fallback); }

 private:
  T& checked() {
    SHOAL_CHECK(has_value());
    return *std::get_if<0>(&state_);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Failure failure) : error_(std::move(failure.error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  const Error& error() const {
    SHOAL_CHECK(error_.has_value());
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

using Status = Result<void>;

}  // namespace shoal
