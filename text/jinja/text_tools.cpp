// Text operations that a string method and a filter share.
#include <algorithm>

#include "text/jinja/methods.h"
#include "text/jinja/runtime.h"
#include "text/jinja/unicode.h"

namespace shoal::jinja {
namespace {

// "" is found before each code point and at the end.
std::string with_text_between(Runtime& runtime, std::string_view text, const std::string& between,
                              std::int64_t count) {
  std::string out;
  const auto put = [&] {
    if (count == 0) return;
    --count;
    runtime.budget().append(out, between);
  };
  put();
  while (!text.empty()) {
    const std::size_t size = first_code_point(text).num_bytes;
    runtime.budget().append(out, text.substr(0, size));
    text.remove_prefix(size);
    put();
  }
  return out;
}

}  // namespace

std::string replaced(Runtime& runtime, const std::string& text, const std::string& old,
                     const std::string& replacement, std::int64_t count) {
  runtime.budget().touch(text.size());
  if (old.empty()) return with_text_between(runtime, text, replacement, count);
  std::string out;
  std::size_t start = 0;
  for (; count != 0; --count) {
    const std::size_t found = find_text(text, old, start);
    if (found == std::string::npos) break;
    runtime.budget().append(out, std::string_view(text).substr(start, found - start));
    runtime.budget().append(out, replacement);
    start = found + old.size();
  }
  runtime.budget().append(out, std::string_view(text).substr(start));
  return out;
}

std::string justified(Runtime& runtime, const std::string& text, std::int64_t width, const std::string& fill,
                      bool left, bool right) {
  const auto length = static_cast<std::int64_t>(count_code_points(text));
  if (width > static_cast<std::int64_t>(kMaxOutputBytes)) throw_error("a string would be padded too far");
  const std::int64_t missing = std::max<std::int64_t>(width - length, 0);
  // Python's centre puts an odd blank to the left when the width is odd.
  const std::int64_t before = !left ? 0 : !right ? missing : missing / 2 + (missing & width & 1);
  std::string out;
  for (std::int64_t i = 0; i < before; ++i) runtime.budget().append(out, fill);
  runtime.budget().append(out, text);
  for (std::int64_t i = before; i < missing; ++i) runtime.budget().append(out, fill);
  return out;
}

bool is_all_cased(std::string_view text, bool upper) {
  bool found = false;
  for (; !text.empty(); text.remove_prefix(first_code_point(text).num_bytes)) {
    const char32_t c = first_code_point(text).value;
    if (upper ? is_lower(c) : is_upper(c)) return false;
    found = found || (upper ? is_upper(c) : is_lower(c));
  }
  return found;
}

}  // namespace shoal::jinja
