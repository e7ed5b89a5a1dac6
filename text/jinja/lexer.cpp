#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "text/jinja/budget.h"
#include "text/jinja/literals.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

// Jinja reads \r\n and \r as \n, and forgets one newline at the very end.
std::string normalized(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    const bool is_return = source[i] == '\r';
    if (is_return && i + 1 < source.size() && source[i + 1] == '\n') ++i;
    text += is_return ? '\n' : source[i];
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalized(source)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) read_data_and_tag();
    add(TokenKind::End, "");
    return std::move(tokens_);
  }

 private:
  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  bool looking_at(std::string_view prefix) const { return rest().starts_with(prefix); }

  void advance(std::size_t bytes) {
    line_ += static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(at_),
                                         text_.begin() + static_cast<std::ptrdiff_t>(at_ + bytes), '\n'));
    at_ += bytes;
    if (bytes > 0) line_starts_ = text_[at_ - 1] == '\n';
  }

  void skip_space() { advance(rest().size() - strip_left(rest()).size()); }

  void add(TokenKind kind, std::string_view text) {
    tokens_.push_back(Token{kind, line_, std::string(text), 0, 0});
  }

  void add_data(std::string_view data) {
    if (!data.empty()) add(TokenKind::Data, data);
  }

  // What white space control leaves of the data before a tag. `sign` is the tag's '-', '+' or neither.
  std::string_view trimmed(std::string_view data, char sign, bool is_print) const {
    if (sign == '-') return strip_right(data);
    if (sign == '+' || is_print) return data;
    const std::size_t newline = data.rfind('\n');
    if (newline == data.npos && !line_starts_) return data;
    const std::size_t line_start = newline == data.npos ? 0 : newline + 1;
    return strip_left(data.substr(line_start)).empty() ? data.substr(0, line_start) : data;
  }

  static char sign_at(std::string_view text, std::size_t at) {
    return at < text.size() && (text[at] == '-' || text[at] == '+') ? text[at] : ' ';
  }

  std::size_t next_tag() const {
    for (std::size_t at = text_.find('{', at_); at != text_.npos; at = text_.find('{', at + 1)) {
      if (at + 1 < text_.size() && (text_[at + 1] == '{' || text_[at + 1] == '%' || text_[at + 1] == '#'))
        return at;
    }
    return text_.npos;
  }

  void read_data_and_tag() {
    const std::size_t tag = next_tag();
    if (tag == text_.npos) {
      add_data(rest());
      return advance(rest().size());
    }
    const char kind = text_[tag + 1];
    const char sign = sign_at(text_, tag + 2);
    add_data(trimmed(rest().substr(0, tag - at_), sign, kind == '{'));
    advance(tag - at_ + 2 + (sign == ' ' ? 0 : 1));
    if (kind == '#') return skip_comment();
    if (kind == '%' && read_raw()) return;
    kind == '{' ? read_tag(TokenKind::PrintBegin, TokenKind::PrintEnd)
                : read_tag(TokenKind::BlockBegin, TokenKind::BlockEnd);
  }

  // Past a tag's end, which stands here: "-" eats the white space behind it, else a block eats one newline.
  void skip_tag_end(std::string_view end, bool trims_newline) {
    const char sign = sign_at(rest(), 0);
    advance(end.size() + (sign == ' ' ? 0 : 1));
    if (sign == '-') return skip_space();
    if (sign == ' ' && trims_newline && looking_at("\n")) advance(1);
  }

  bool at_tag_end(std::string_view end, bool allows_plus) const {
    const char sign = sign_at(rest(), 0);
    if (sign == '+' && !allows_plus) return false;
    return rest().substr(sign == ' ' ? 0 : 1).starts_with(end);
  }

  void skip_comment() {
    const int start_line = line_;
    const std::size_t end = text_.find("#}", at_);
    if (end == text_.npos) throw_error("a comment is not closed: #} is missing", start_line);
    const bool is_signed = end > at_ && sign_at(text_, end - 1) != ' ';
    advance(end - at_ - (is_signed ? 1 : 0));
    skip_tag_end("#}", /*trims_newline=*/true);
  }

  // Bytes of a tag `word %}` that starts here, without its end; nullopt when something else stands here.
  std::optional<std::size_t> tag_size(std::size_t at, std::string_view word) const {
    const std::string_view inside = strip_left(std::string_view(text_).substr(at));
    if (!inside.starts_with(word)) return std::nullopt;
    return text_.size() - strip_left(inside.substr(word.size())).size() - at;
  }

  // {% raw %} ... {% endraw %}, of which the "{%" is read: its text is data.
  bool read_raw() {
    const std::optional<std::size_t> size = tag_size(at_, "raw");
    const std::string_view behind = size ? rest().substr(*size) : std::string_view();
    if (!behind.starts_with("%}") && !behind.starts_with("-%}")) return false;
    const int start_line = line_;
    advance(*size);
    skip_tag_end("%}", /*trims_newline=*/false);
    for (std::size_t tag = text_.find("{%", at_); tag != text_.npos; tag = text_.find("{%", tag + 1)) {
      if (end_raw(tag)) return true;
    }
    throw_error("a raw block is not closed: {% endraw %} is missing", start_line);
  }

  bool end_raw(std::size_t tag) {
    const char sign = sign_at(text_, tag + 2);
    const std::size_t inside = tag + 2 + (sign == ' ' ? 0 : 1);
    const std::optional<std::size_t> size = tag_size(inside, "endraw");
    if (!size) return false;
    const std::string_view behind = std::string_view(text_).substr(inside + *size);
    if (!behind.starts_with("%}") && !behind.starts_with("-%}") && !behind.starts_with("+%}")) return false;
    add_data(trimmed(rest().substr(0, tag - at_), sign, /*is_print=*/false));
    advance(inside + *size - at_);
    skip_tag_end("%}", /*trims_newline=*/true);
    return true;
  }

  void read_tag(TokenKind begin, TokenKind end) {
    const std::string_view end_text = end == TokenKind::PrintEnd ? "}}" : "%}";
    const bool is_block = end == TokenKind::BlockEnd;
    add(begin, "");
    while (at_ < text_.size()) {
      if (open_brackets_.empty() && at_tag_end(end_text, /*allows_plus=*/is_block)) {
        add(end, "");
        return skip_tag_end(end_text, /*trims_newline=*/is_block);
      }
      read_token();
    }
    open_brackets_.clear();
  }

  void read_token() {
    const std::size_t before = at_;
    skip_space();
    if (at_ != before) return;
    const char c = text_[at_];
    if (is_digit(static_cast<unsigned char>(c))) return read_number();
    if (c == '\'' || c == '"') return read_string(c);
    const char32_t first = first_code_point(rest()).value;
    first == '_' || is_letter(first) ? read_name() : read_operator();
  }

  void read_number() {
    const bool after_point = at_ > 0 && text_[at_ - 1] == '.';
    const NumberLiteral number = scan_number(rest(), /*may_be_float=*/!after_point, line_);
    tokens_.push_back(Token{.kind = number.is_float ? TokenKind::Float : TokenKind::Integer,
                            .line = line_,
                            .text = std::string(rest().substr(0, number.num_bytes)),
                            .integer = number.integer,
                            .number = number.number});
    advance(number.num_bytes);
  }

  void read_string(char quote) {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) throw_error("a string is not closed", line_);
    const std::size_t size = end + 1 - at_;
    add(TokenKind::String, unescaped(rest().substr(1, size - 2), line_));
    advance(size);
  }

  void read_name() {
    std::size_t size = 0;
    while (size < rest().size()) {
      const CodePoint c = first_code_point(rest().substr(size));
      if (c.value != '_' && !is_letter(c.value) && !is_digit(c.value)) break;
      size += c.num_bytes;
    }
    add(TokenKind::Name, rest().substr(0, size));
    advance(size);
  }

  void read_operator() {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto op = std::find_if(kOperators.begin(), kOperators.end(), [&](auto o) { return looking_at(o); });
    if (op == kOperators.end()) {
      const std::size_t size = first_code_point(rest()).num_bytes;
      throw_error("unexpected character '" + std::string(rest().substr(0, size)) + "'", line_);
    }
    balance((*op)[0]);
    add(TokenKind::Operator, *op);
    advance(op->size());
  }

  void balance(char op) {
    if (op == '(') open_brackets_ += ')';
    if (op == '[') open_brackets_ += ']';
    if (op == '{') open_brackets_ += '}';
    if (op != ')' && op != ']' && op != '}') return;
    if (open_brackets_.empty()) throw_error(std::string("unexpected '") + op + "'", line_);
    if (open_brackets_.back() != op) {
      throw_error(std::string("unexpected '") + op + "', expected '" + open_brackets_.back() + "'", line_);
    }
    open_brackets_.pop_back();
  }

  std::string text_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;    // the last thing read ended with a newline
  std::string open_brackets_;  // the closing brackets owed, innermost last
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::Data:
      return "text";
    case TokenKind::BlockBegin:
      return "{%";
    case TokenKind::BlockEnd:
      return "%}";
    case TokenKind::PrintBegin:
      return "{{";
    case TokenKind::PrintEnd:
      return "}}";
    case TokenKind::String:
      return "a string";
    case TokenKind::End:
      return "the end of the template";
    default:
      return "'" + token.text + "'";
  }
}

}  // namespace shoal::jinja
