#include "coordinator/http/field_reader.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/sampling.h"
#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

constexpr double kMaxTokens = 1 << 24;

constexpr std::array kFields = {
    NumericField{"max_tokens", NumberKind::Integer, 0, kMaxTokens},
    NumericField{"max_completion_tokens", NumberKind::Integer, 1, kMaxTokens},
    NumericField{"n", NumberKind::Integer, 1, 8},
    NumericField{"temperature", NumberKind::Real, 0, 2},
    NumericField{"top_p", NumberKind::Real, 0, 1},
    NumericField{"top_k", NumberKind::Integer, -1, 1 << 24},
    NumericField{"min_p", NumberKind::Real, 0, 1},
    NumericField{"repeat_penalty", NumberKind::Real, 0.01, 10},
    NumericField{"repetition_penalty", NumberKind::Real, 0.01, 10},
    NumericField{"repeat_last_n", NumberKind::Integer, -1, 1 << 24},
    NumericField{"presence_penalty", NumberKind::Real, -2, 2},
    NumericField{"frequency_penalty", NumberKind::Real, -2, 2},
    NumericField{"seed", NumberKind::Integer, -9223372036854775808.0, 9223372036854775807.0},
    NumericField{"logprobs", NumberKind::Integer, 0, kMaxTopLogprobs},
    NumericField{"top_logprobs", NumberKind::Integer, 0, 20},
    NumericField{"logit_bias", NumberKind::Real, -100, 100},
};

const NumericField& field_named(std::string_view name) {
  const auto it = std::ranges::find(kFields, name, &NumericField::name);
  SHOAL_CHECK(it != kFields.end());
  return *it;
}

std::string in_words(double value) {
  if (value == 9223372036854775808.0) return "9223372036854775807";  // 2^63 stands for the greatest integer
  std::string text;
  append_json_number(text, value);
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  return text;
}

}  // namespace

std::span<const NumericField> numeric_fields() { return kFields; }

FieldReader::FieldReader(const JsonValue& body) : body_(body) {
  if (body.object() == nullptr)
    refuse({}, std::string("The body must be a JSON object, not ") + body.type_name() + ".");
}

void FieldReader::refuse(std::string param, std::string message, std::string code) {
  refuse(bad_request(std::move(message), std::move(param), std::move(code)));
}

void FieldReader::refuse(ApiError error) {
  if (!error_) error_ = std::move(error);
}

void FieldReader::refuse_type(std::string_view param, std::string_view wanted, const JsonValue& got) {
  refuse(std::string(param),
         "'" + std::string(param) + "' must be " + std::string(wanted) + ", not " + got.type_name() + ".",
         "invalid_type");
}

const JsonValue* FieldReader::find(std::string_view name) const {
  if (error_) return nullptr;
  const JsonValue* value = body_.find(name);
  return value == nullptr || value->is_null() ? nullptr : value;
}

bool FieldReader::in_bounds(double value, const NumericField& field, std::string_view param) {
  if (value >= field.min && value <= field.max) return true;  // false for NaN
  refuse(std::string(param),
         "'" + std::string(param) + "' is " + in_words(value) + ", but must lie between " +
             in_words(field.min) + " and " + in_words(field.max) + ".",
         value < field.min ? "value_below_min" : "value_above_max");
  return false;
}

std::optional<std::int64_t> FieldReader::integer_in(const JsonValue* value, std::string_view field,
                                                    std::string_view param) {
  if (value == nullptr || error_) return std::nullopt;
  const NumericField& bounds = field_named(field);
  if (!value->is_number()) {
    refuse_type(param, "an integer", *value);
    return std::nullopt;
  }
  const double number = value->number();
  const std::int64_t* whole = value->integer();
  // A whole number too large for 64 bits reads as a double: out of bounds rather than of the wrong type.
  if (whole == nullptr && std::abs(number) >= 9223372036854775808.0) {
    const bool is_below = number < 0;
    refuse(std::string(param),
           "'" + std::string(param) + "' is too " + (is_below ? "small" : "large") +
               ": it must lie between " + in_words(bounds.min) + " and " + in_words(bounds.max) + ".",
           is_below ? "value_below_min" : "value_above_max");
    return std::nullopt;
  }
  if (whole == nullptr && number != std::trunc(number)) {
    refuse(std::string(param),
           "'" + std::string(param) + "' must be an integer, not " + in_words(number) + ".", "invalid_type");
    return std::nullopt;
  }
  if (!in_bounds(number, bounds, param)) return std::nullopt;
  return whole != nullptr ? *whole
                          : static_cast<std::int64_t>(number);  // 64.0, from clients without integers
}

std::optional<double> FieldReader::real_in(const JsonValue* value, std::string_view field,
                                           std::string_view param) {
  if (value == nullptr || error_) return std::nullopt;
  if (!value->is_number()) {
    refuse_type(param, "a number", *value);
    return std::nullopt;
  }
  if (!in_bounds(value->number(), field_named(field), param)) return std::nullopt;
  return value->number();
}

std::optional<double> FieldReader::real(std::string_view name) { return real_in(find(name), name, name); }

void FieldReader::read(std::string_view name, bool& out) {
  const JsonValue* value = find(name);
  if (value == nullptr) return;
  if (value->boolean() == nullptr) return refuse_type(name, "a boolean", *value);
  out = *value->boolean();
}

void FieldReader::read(std::string_view name, std::string& out) {
  const JsonValue* value = find(name);
  if (value == nullptr) return;
  if (value->string() == nullptr) return refuse_type(name, "a string", *value);
  out = *value->string();
}

}  // namespace shoal
