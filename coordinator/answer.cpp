#include "coordinator/answer.h"

#include <algorithm>

namespace shoal {
namespace {

// Length of the longest suffix of `text` that begins `stop` without being all of it.
std::size_t partial_match(std::string_view text, std::string_view stop) {
  for (std::size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.substr(text.size() - length) == stop.substr(0, length)) return length;
  }
  return 0;
}

}  // namespace

TokenText token_text_of(const Tokenizer& tokenizer) {
  return {.piece = [&tokenizer](TokenId id) { return tokenizer.piece(id, /*render_special=*/false); },
          .is_end_of_text = [&tokenizer](TokenId id) { return tokenizer.is_end_of_text(id); }};
}

std::string AnswerText::push(std::string_view piece) {
  if (stopped_) return "";
  held_ += characters_.push(piece);
  return release();
}

std::string AnswerText::flush() {
  if (stopped_) return "";
  held_ += characters_.flush();
  std::string shown = release();
  if (!stopped_) shown += std::exchange(held_, {});
  return shown;
}

std::string AnswerText::release() {
  std::size_t first = std::string::npos;
  std::size_t waiting = 0;
  for (const std::string& stop : stop_) {
    if (stop.empty()) continue;
    first = std::min(first, held_.find(stop));
    waiting = std::max(waiting, partial_match(held_, stop));
  }
  stopped_ = first != std::string::npos;
  const std::size_t showable = stopped_ ? first : held_.size() - waiting;
  std::string shown = held_.substr(0, showable);
  held_.erase(0, stopped_ ? held_.size() : showable);
  return shown;
}

}  // namespace shoal
