#include "base/utf8.h"
#include "text/tokenizer.h"

namespace shoal {

std::string TextStream::push(std::string_view piece) {
  pending_.append(piece);
  std::string out;
  out.reserve(pending_.size());
  std::size_t at = 0;
  while (at < pending_.size()) {
    const Utf8Step step = utf8_step(pending_, at);
    if (step.kind == Utf8Step::Kind::Truncated) break;
    if (step.kind == Utf8Step::Kind::Character) {
      out.append(pending_, at, step.length);
    } else {
      append_utf8(out, kReplacementCharacter);
    }
    at += step.length;
  }
  pending_.erase(0, at);
  return out;
}

std::string TextStream::flush() {
  std::string out = to_valid_utf8(pending_);
  pending_.clear();
  return out;
}

}  // namespace shoal
