#include "cli/number_range.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <limits>
#include <optional>
#include <string>

namespace shoal {
namespace {

template <typename Number>
std::optional<Number> parse(const std::string& text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool is_whole_text = error == std::errc() && end == text.data() + text.size();
  return is_whole_text ? std::optional(number) : std::nullopt;
}

std::string in_words(std::int64_t number) { return std::to_string(number); }
std::string in_words(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", number);
  return text;
}

template <typename Number>
CLI::Validator from_to(Number least, Number most, const std::string& what) {
  const auto judge = [=](std::string& text) -> std::string {
    const std::optional<Number> number = parse<Number>(text);
    return number && *number >= least && *number <= most ? "" : text + " is no " + what;
  };
  return CLI::Validator(judge, "");
}

}  // namespace

CLI::Validator number_from(double least, double most) {
  return from_to(least, most, "number from " + in_words(least) + " to " + in_words(most));
}

CLI::Validator whole_number_from(std::int64_t least, std::int64_t most) {
  return from_to(least, most, "whole number from " + in_words(least) + " to " + in_words(most));
}

CLI::Validator any_whole_number() {
  using Limits = std::numeric_limits<std::int64_t>;
  return from_to(Limits::min(), Limits::max(), "whole number");
}

}  // namespace shoal
