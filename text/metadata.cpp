#include "text/metadata.h"

#include <string>

namespace shoal {
namespace {

Failure ill_typed(std::string_view key, std::string_view expected) {
  return fail(ErrorCode::Corrupt, "metadata key " + std::string(key) + " is not " + std::string(expected) +
                                      "; is the file from a converter?");
}

Failure missing(std::string_view key) {
  return fail(ErrorCode::Corrupt, "metadata key " + std::string(key) +
                                      " is missing; the file's tokenizer is incomplete, convert it again");
}

template <typename T>
Result<std::optional<T>> optional_value(const GgufFile& file, std::string_view key, std::optional<T> value,
                                        std::string_view expected) {
  if (!value && file.has(key)) return ill_typed(key, expected);
  return value;
}

template <typename T>
Result<T> required_value(const GgufFile& file, std::string_view key, std::optional<T> value,
                         std::string_view expected) {
  if (value) return *std::move(value);
  if (file.has(key)) return ill_typed(key, expected);
  return missing(key);
}

}  // namespace

Result<std::optional<bool>> optional_bool(const GgufFile& file, std::string_view key) {
  return optional_value(file, key, file.find_bool(key), "a bool");
}

Result<std::optional<std::string_view>> optional_string(const GgufFile& file, std::string_view key) {
  return optional_value(file, key, file.find_string(key), "a string");
}

Result<std::optional<std::int64_t>> optional_int(const GgufFile& file, std::string_view key) {
  return optional_value(file, key, file.find_int(key), "an integer");
}

Result<std::vector<std::string_view>> required_strings(const GgufFile& file, std::string_view key) {
  return required_value(file, key, file.find_strings(key), "an array of strings");
}

Result<std::vector<std::int64_t>> required_ints(const GgufFile& file, std::string_view key) {
  return required_value(file, key, file.find_ints(key), "an array of integers");
}

Result<std::vector<float>> required_floats(const GgufFile& file, std::string_view key) {
  return required_value(file, key, file.find_floats(key), "an array of 32-bit floats");
}

}  // namespace shoal
