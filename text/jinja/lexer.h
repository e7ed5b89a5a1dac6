#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace shoal::jinja {

enum class TokenKind {
  Data,
  BlockBegin,
  BlockEnd,
  PrintBegin,
  PrintEnd,
  Name,
  String,
  Integer,
  Float,
  Operator,
  End
};

struct Token {
  TokenKind kind = TokenKind::End;
  int line = 1;
  std::string text;  // the data, the name, the string's value or the operator itself
  std::int64_t integer = 0;
  double number = 0;

  bool is_name(std::string_view name) const { return kind == TokenKind::Name && text == name; }
  bool is_operator(std::string_view op) const { return kind == TokenKind::Operator && text == op; }
};

// Cuts a template into tokens as Jinja does with trim_blocks and lstrip_blocks on: white space control,
// comments and `raw` are settled here. The last token is End. Throws TemplateError.
std::vector<Token> tokenize(std::string_view source);

// For messages: what the token is, in words.
std::string describe(const Token& token);

}  // namespace shoal::jinja
