#include "cli/terminal_text.h"

#include "text/utf8.h"

namespace shoal {
namespace {

bool is_control(char32_t c) { return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0); }

}  // namespace

std::string terminal_safe(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    const bool shown = step.kind == Utf8Step::Kind::Character && !is_control(step.codepoint);
    if (shown) {
      safe += text.substr(at, step.length);
    } else {
      append_utf8(safe, kReplacementCharacter);
    }
    at += step.length;
  }
  return safe;
}

}  // namespace shoal
