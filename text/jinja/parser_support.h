#pragma once

#include <algorithm>

#include "text/jinja/parser.h"

namespace shoal::jinja {

class Parser::Nested {
 public:
  explicit Nested(Parser& parser) : parser_(parser) {
    if (parser_.nesting_ >= kMaxNesting) {
      throw_error("blocks or expressions nest more than " + std::to_string(kMaxNesting) + " deep",
                  parser_.current().line);
    }
    ++parser_.nesting_;
  }
  ~Nested() { --parser_.nesting_; }
  Nested(const Nested&) = delete;
  Nested& operator=(const Nested&) = delete;

 private:
  Parser& parser_;
};

// The height of the highest tree among them; 0 for none.
inline int height_of(const ExpressionPtr& expression) { return expression ? expression->height : 0; }

inline int height_of(const std::vector<ExpressionPtr>& expressions) {
  int height = 0;
  for (const ExpressionPtr& expression : expressions) height = std::max(height, height_of(expression));
  return height;
}

inline int height_of(const CallArguments& arguments) {
  int height = 0;
  for (const CallArgument& argument : arguments) height = std::max(height, height_of(argument.value));
  return height;
}

template <typename Operator>
inline int height_of(const std::vector<std::pair<Operator, ExpressionPtr>>& operands) {
  int height = 0;
  for (const auto& [op, operand] : operands) height = std::max(height, height_of(operand));
  return height;
}

}  // namespace shoal::jinja
