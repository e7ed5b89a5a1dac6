#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coordinator/http/api_error.h"
#include "coordinator/http/json_value.h"

namespace shoal {

enum class NumberKind : std::uint8_t { Integer, Real };

// One numeric field a request may carry. Bounds are inclusive.
struct NumericField {
  std::string_view name;
  NumberKind kind = NumberKind::Integer;
  double min = 0;
  double max = 0;
};

// Every numeric field of the generation endpoints; nothing numeric is read from a client past this table.
std::span<const NumericField> numeric_fields();

// Reads the fields of one request object. Keeps the first failure, with the field's name; reads after it do
// nothing. Absent and null leave the target as it was.
class FieldReader {
 public:
  explicit FieldReader(const JsonValue& body);

  bool ok() const { return !error_; }
  const ApiError& error() const { return *error_; }
  void refuse(std::string param, std::string message, std::string code = {});
  void refuse(ApiError error);

  const JsonValue* find(
      std::string_view name) const;  // nullptr also where the value is null, or after a failure

  // `name` stands in numeric_fields(). nullopt: absent, null, or refused.
  std::optional<std::int64_t> integer(std::string_view name) { return integer_in(find(name), name, name); }
  std::optional<double> real(std::string_view name);
  // A number that lies elsewhere than at the top, held to the same bounds; `param` names its place.
  std::optional<std::int64_t> integer_in(const JsonValue* value, std::string_view field,
                                         std::string_view param);
  std::optional<double> real_in(const JsonValue* value, std::string_view field, std::string_view param);

  void read(std::string_view name, bool& out);
  void read(std::string_view name, std::string& out);
  template <typename T>
  void read_integer(std::string_view name, T& out) {
    if (const auto value = integer(name)) out = static_cast<T>(*value);
  }
  void read_real(std::string_view name, float& out) {
    if (const auto value = real(name)) out = static_cast<float>(*value);
  }
  void refuse_type(std::string_view param, std::string_view wanted, const JsonValue& got);

 private:
  bool in_bounds(double value, const NumericField& field, std::string_view param);

  const JsonValue& body_;
  std::optional<ApiError> error_;
};

}  // namespace shoal
