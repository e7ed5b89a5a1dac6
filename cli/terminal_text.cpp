#include "cli/terminal_text.h"

#include <cstdio>

#include "base/json_text.h"
#include "base/printable.h"
#include "base/utf8.h"

namespace shoal {
namespace {

bool is_shown(const Utf8Step& step) {
  const char32_t c = step.codepoint;
  return step.kind == Utf8Step::Kind::Character && (c == '\n' || c == '\t' || !is_control_character(c));
}

}  // namespace

std::string terminal_safe(std::string_view text) {
  std::string safe;
  safe.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Step step = utf8_step(text, at);
    if (is_shown(step)) {
      safe += text.substr(at, step.length);
    } else {
      append_utf8(safe, kReplacementCharacter);
    }
    at += step.length;
  }
  return safe;
}

std::string shown_piece(std::string_view piece) {
  std::string shown;
  if (is_utf8(piece)) {
    append_json_string(shown, piece);
    return shown;
  }
  shown = "bytes";
  for (const char byte : piece) {
    char text[8];
    std::snprintf(text, sizeof text, " %02X", static_cast<unsigned>(static_cast<unsigned char>(byte)));
    shown += text;
  }
  return shown;
}

}  // namespace shoal
