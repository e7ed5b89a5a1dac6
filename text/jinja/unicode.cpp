#include "text/jinja/unicode.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "text/jinja/unicode_tables.h"

namespace shoal::jinja {
namespace {

bool is_continuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

char32_t change_case(char32_t code_point, const CaseRange* table, std::size_t size) {
  const CaseRange* end = table + size;
  const CaseRange* range = std::lower_bound(
      table, end, code_point, [](const CaseRange& r, char32_t value) { return r.last < value; });
  for (; range != end && range->first <= code_point; ++range) {
    const bool on_stride = (code_point - range->first) % static_cast<char32_t>(range->stride) == 0;
    if (code_point <= range->last && on_stride) {
      return static_cast<char32_t>(static_cast<std::int32_t>(code_point) + range->delta);
    }
  }
  return code_point;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 || c == 0x2029;
}

template <typename Map>
std::string map_code_points(std::string_view text, Map map) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    append_utf8(out, map(c.value));
    text.remove_prefix(c.num_bytes);
  }
  return out;
}

bool contains_code_point(std::string_view chars, std::string_view code_point) {
  return chars.find(code_point) != std::string_view::npos;
}

}  // namespace

CodePoint first_code_point(std::string_view text) {
  const Utf8Step step = utf8_step(text, 0);
  if (step.kind != Utf8Step::Kind::Character) return {kReplacementCharacter, 1};
  return {step.codepoint, step.length};
}

CodePoint last_code_point(std::string_view text) {
  std::size_t start = text.size() - 1;
  const std::size_t stop = text.size() > 4 ? text.size() - 4 : 0;
  while (start > stop && is_continuation(text[start])) --start;
  const CodePoint c = first_code_point(text.substr(start));
  return start + c.num_bytes == text.size() ? c : CodePoint{kReplacementCharacter, 1};
}

std::size_t count_code_points(std::string_view text) {
  std::size_t count = 0;
  for (; !text.empty(); ++count) text.remove_prefix(first_code_point(text).num_bytes);
  return count;
}

std::vector<std::size_t> code_point_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  offsets.reserve(text.size() + 1);
  std::size_t offset = 0;
  while (offset < text.size()) {
    offsets.push_back(offset);
    offset += first_code_point(text.substr(offset)).num_bytes;
  }
  offsets.push_back(offset);
  return offsets;
}

bool is_space(char32_t c) {
  if (c < 0x80) return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20);
  return c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
         c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_letter(char32_t c) {
  if (c < 0x80) return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  const CodePointRange* end = kLetters + kNumLetters;
  const CodePointRange* range = std::lower_bound(
      kLetters, end, c, [](const CodePointRange& r, char32_t value) { return r.last < value; });
  return range != end && range->first <= c;
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }

bool is_printable(char32_t c) {
  if (c < 0x7F) return c >= 0x20;
  if (c <= 0xA0 || c == 0xAD || is_space(c)) return false;
  const bool is_format = (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
                         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || (c >= 0xFFF0 && c <= 0xFFFB);
  const bool is_private = (c >= 0xE000 && c <= 0xF8FF) || c >= 0xE0000;
  return !is_format && !is_private;
}

bool is_lower(char32_t c) { return is_letter(c) && to_upper(c) != c; }
bool is_upper(char32_t c) { return is_letter(c) && to_lower(c) != c; }

char32_t to_lower(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  return change_case(c, kToLower, kNumToLower);
}

char32_t to_upper(char32_t c) {
  if (c < 0x80) return c >= 'a' && c <= 'z' ? c - 32 : c;
  return change_case(c, kToUpper, kNumToUpper);
}

std::string lower(std::string_view text) { return map_code_points(text, to_lower); }
std::string upper(std::string_view text) { return map_code_points(text, to_upper); }

std::string capitalized(std::string_view text) {
  bool is_first = true;
  return map_code_points(
      text, [&](char32_t c) { return std::exchange(is_first, false) ? to_upper(c) : to_lower(c); });
}

std::string_view strip_left(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = first_code_point(text);
    if (!is_space(c.value)) break;
    text.remove_prefix(c.num_bytes);
  }
  return text;
}

std::string_view strip_right(std::string_view text) {
  while (!text.empty()) {
    const CodePoint c = last_code_point(text);
    if (!is_space(c.value)) break;
    text.remove_suffix(c.num_bytes);
  }
  return text;
}

std::string_view strip_left(std::string_view text, std::string_view chars) {
  while (!text.empty()) {
    const std::size_t size = first_code_point(text).num_bytes;
    if (!contains_code_point(chars, text.substr(0, size))) break;
    text.remove_prefix(size);
  }
  return text;
}

std::string_view strip_right(std::string_view text, std::string_view chars) {
  while (!text.empty()) {
    const std::size_t size = last_code_point(text).num_bytes;
    if (!contains_code_point(chars, text.substr(text.size() - size))) break;
    text.remove_suffix(size);
  }
  return text;
}

std::size_t find_text(std::string_view text, std::string_view needle, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (needle.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, needle.data(), needle.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::size_t find_last_text(std::string_view text, std::string_view needle) {
  // Both turned round: the library's linear search knows one direction only.
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_needle(needle.rbegin(), needle.rend());
  const std::size_t found = find_text(reversed_text, reversed_needle);
  return found == std::string_view::npos ? found : text.size() - found - needle.size();
}

std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint c = first_code_point(text.substr(at));
    std::size_t next = at + c.num_bytes;
    if (is_line_end(c.value)) {
      if (c.value == '\r' && next < text.size() && text[next] == '\n') ++next;
      lines.push_back(text.substr(start, (keep_ends ? next : at) - start));
      start = next;
    }
    at = next;
  }
  if (start < text.size()) lines.push_back(text.substr(start));
  return lines;
}

}  // namespace shoal::jinja
