#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace shoal {

struct JsonMember;

// One value of a client's JSON document. Immutable once read; lookups are linear, as request objects are
// small.
class JsonValue {
 public:
  using Array = std::vector<JsonValue>;
  using Object = std::vector<JsonMember>;

  JsonValue() = default;  // null
  template <typename T>
  explicit JsonValue(std::in_place_type_t<T> type, T value) : value_(type, std::move(value)) {}

  bool is_null() const { return holds<std::nullptr_t>(); }
  const bool* boolean() const { return std::get_if<bool>(&value_); }
  const std::int64_t* integer() const { return std::get_if<std::int64_t>(&value_); }
  const std::string* string() const { return std::get_if<std::string>(&value_); }
  const Array* array() const { return std::get_if<Array>(&value_); }
  const Object* object() const { return std::get_if<Object>(&value_); }

  bool is_number() const { return holds<std::int64_t>() || holds<double>(); }
  double number() const;          // of an is_number() value; integers are widened
  const char* type_name() const;  // "an integer", "a string"..., for messages

  // The member of an object, the last one where a key is repeated; nullptr when absent or when this is no
  // object.
  const JsonValue* find(std::string_view key) const;

 private:
  template <typename T>
  bool holds() const {
    return std::holds_alternative<T>(value_);
  }
  // Integers beyond 64 bits are doubles, like every other number.
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value_;
};

struct JsonMember {
  std::string key;
  JsonValue value;
};

inline constexpr int kMaxJsonDepth = 64;
inline constexpr std::size_t kMaxJsonValues =
    1U << 19;  // what one document may cost in memory, whatever its bytes say

// Strict JSON (RFC 8259, UTF-8 only). InvalidArgument: malformed, deeper than kMaxJsonDepth, more than
// kMaxJsonValues values, or a number no double holds. The message says where. Pure, any thread.
Result<JsonValue> read_json(std::string_view text);

// The value as JSON text again.
void append_json(std::string& out, const JsonValue& value);

}  // namespace shoal
