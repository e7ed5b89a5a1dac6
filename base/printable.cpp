#include "base/printable.h"

#include "base/utf8.h"

namespace shoal {
namespace {

bool is_shown(const Utf8Step& step) {
  return step.kind == Utf8Step::Kind::Character && !is_control_character(step.codepoint);
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const std::size_t length = step.kind == Utf8Step::Kind::Character ? step.length : 1;
    if (out.size() + length > max_bytes) return out + "...";
    out += is_shown(step) ? text.substr(at, length) : "?";
    at += length;
  }
  return out;
}

bool is_printable(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (!is_shown(step)) return false;
    at += step.length;
  }
  return true;
}

std::string in_quotes(std::string_view text) { return "'" + printable(text) + "'"; }

}  // namespace shoal
