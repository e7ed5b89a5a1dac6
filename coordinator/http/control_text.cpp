#include "coordinator/http/control_text.h"

#include <algorithm>
#include <functional>

namespace shoal {
namespace {

// Two of Unicode's noncharacters, which no text interchanges: U+FDD0 and U+FDD1.
constexpr std::string_view kOpen = "\xEF\xB7\x90";
constexpr std::string_view kClose = "\xEF\xB7\x91";
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

bool is_mark(std::string_view text) { return text.starts_with(kOpen) || text.starts_with(kClose); }

}  // namespace

ControlText::ControlText(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {
  for (std::size_t i = 0; i < tokenizer.vocab_size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const std::string_view text =
        tokenizer.is_control(id) ? tokenizer.piece(id, /*render_special=*/true) : std::string_view();
    if (text.empty()) continue;
    texts_.emplace(text);
    lengths_.push_back(text.size());
    begins_[static_cast<unsigned char>(text.front())] = true;
  }
  std::ranges::sort(lengths_, std::greater<>());
  lengths_.erase(std::unique(lengths_.begin(), lengths_.end()), lengths_.end());
}

std::size_t ControlText::spelled_at(std::string_view text, std::size_t at) const {
  if (!begins_[static_cast<unsigned char>(text[at])]) return 0;
  for (const std::size_t length : lengths_) {
    if (at + length <= text.size() && texts_.contains(std::string(text.substr(at, length)))) return length;
  }
  return 0;
}

std::string ControlText::mark(std::string_view text) const {
  std::string marked;
  marked.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    if (const std::size_t length = spelled_at(text, at); length > 0) {
      marked.append(kOpen).append(text.substr(at, length)).append(kClose);
      at += length;
    } else if (is_mark(text.substr(at))) {
      marked.append(kReplacement);
      at += kOpen.size();
    } else {
      marked += text[at++];
    }
  }
  return marked;
}

Result<std::vector<TokenId>> ControlText::encode(std::string_view rendered) const {
  std::vector<TokenId> ids;
  bool is_plain = false;  // between marks
  while (!rendered.empty()) {
    const std::size_t end = std::min(rendered.find(is_plain ? kClose : kOpen), rendered.size());
    Result<std::vector<TokenId>> part =
        tokenizer_.encode(rendered.substr(0, end), /*parse_special=*/!is_plain);
    if (!part) return fail(part.error());
    ids.insert(ids.end(), part->begin(), part->end());
    rendered.remove_prefix(std::min(end + kOpen.size(), rendered.size()));
    is_plain = !is_plain;
  }
  return ids;
}

}  // namespace shoal
