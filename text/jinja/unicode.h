#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/utf8.h"

// UTF-8 text seen as code points, which is how Python counts, slices and classifies it. Bytes that are no
// UTF-8 read as one U+FFFD each; nothing here fails.
namespace shoal::jinja {

struct CodePoint {
  char32_t value;
  std::size_t num_bytes;  // >= 1
};

// The code point that starts at text[0]; text must not be empty.
CodePoint first_code_point(std::string_view text);
CodePoint last_code_point(std::string_view text);

std::size_t count_code_points(std::string_view text);
// Byte offset of each code point, and the end: count + 1 entries.
std::vector<std::size_t> code_point_offsets(std::string_view text);

bool is_space(char32_t code_point);
bool is_letter(char32_t code_point);
bool is_digit(char32_t code_point);  // ASCII's
bool is_printable(char32_t code_point);
bool is_lower(char32_t code_point);
bool is_upper(char32_t code_point);
char32_t to_lower(char32_t code_point);
char32_t to_upper(char32_t code_point);

std::string lower(std::string_view text);
std::string upper(std::string_view text);
std::string capitalized(std::string_view text);  // first letter upper, the rest lower

// Without leading or trailing white space; with `chars`, without those code points instead.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip_left(std::string_view text, std::string_view chars);
std::string_view strip_right(std::string_view text, std::string_view chars);

// Linear-time search, for no template may make it quadratic. npos when absent.
std::size_t find_text(std::string_view text, std::string_view needle, std::size_t from = 0);
std::size_t find_last_text(std::string_view text, std::string_view needle);

// Lines without their ends, at every line end Python knows.
std::vector<std::string_view> split_lines(std::string_view text, bool keep_ends = false);

}  // namespace shoal::jinja
