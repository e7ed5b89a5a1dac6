#include "coordinator/http/legacy_logprobs.h"

#include <algorithm>
#include <unordered_set>

#include "base/utf8.h"
#include "coordinator/http/choice.h"

namespace shoal {
namespace {

std::size_t num_characters(std::string_view utf8) {
  const auto begins_character = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; };
  return static_cast<std::size_t>(std::ranges::count_if(utf8, begins_character));
}

std::string escaped_bytes(std::string_view bytes) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string text = "bytes:";
  for (const char c : bytes) {
    text += "\\x";
    text += kHex[static_cast<unsigned char>(c) >> 4];
    text += kHex[static_cast<unsigned char>(c) & 15];
  }
  return text;
}

std::string id_pairs(std::span<const TokenTop> top) {
  std::string list = "[";
  for (const TokenTop& entry : top) {
    if (list.size() > 1) list += ',';
    list += '[' + std::to_string(entry.id) + ',';
    append_json_number(list, entry.logprob);
    list += ']';
  }
  return list + ']';
}

}  // namespace

std::string LegacyLogprobs::spelled(TokenId id) const {
  const std::string_view piece = tokenizer_.piece(id, /*render_special=*/true);
  return is_utf8(piece) ? std::string(piece) : escaped_bytes(piece);
}

void LegacyLogprobs::add(TokenId id, std::string_view shown, std::optional<float> logprob,
                         std::span<const TokenTop> top) {
  append_json_string(next_item(tokens_), spelled(id));
  next_item(text_offsets_) += std::to_string(offset_);
  offset_ += num_characters(stream_.push(shown));
  if (with_ids_) next_item(token_ids_) += std::to_string(id);
  if (logprob) {
    append_json_number(next_item(token_logprobs_), *logprob);
    add_top(id, *logprob, top);
  } else {
    for (std::string* list : {&token_logprobs_, &top_logprobs_}) next_item(*list) += "null";
    if (with_ids_) next_item(top_ids_) += "null";
  }
}

// The best tokens, and the chosen one where it is not among them.
void LegacyLogprobs::add_top(TokenId id, float logprob, std::span<const TokenTop> top) {
  JsonWriter object;
  object.begin_object();
  std::unordered_set<std::string> seen;  // of two tokens with one text the better is shown
  const auto show = [&](TokenId shown, float value) {
    std::string text = spelled(shown);
    if (!seen.insert(text).second) return;
    object.member(text, value);
  };
  for (const TokenTop& entry : top) show(entry.id, entry.logprob);
  show(id, logprob);
  object.end_object();
  next_item(top_logprobs_) += object.take();
  if (with_ids_) next_item(top_ids_) += id_pairs(top);
}

void LegacyLogprobs::set_next(std::span<const TokenTop> top) {
  if (with_ids_) next_top_ = id_pairs(top);
}

void LegacyLogprobs::write_and_clear(JsonWriter& out) {
  const auto put = [&out](std::string_view name, std::string& items) {
    out.raw_member(name, "[" + items + "]");
    items.clear();
  };
  out.begin_object();
  put("tokens", tokens_);
  put("token_logprobs", token_logprobs_);
  put("top_logprobs", top_logprobs_);
  put("text_offset", text_offsets_);
  if (with_ids_) {
    put("token_ids", token_ids_);
    put("top_logprob_ids", top_ids_);
    if (!next_top_.empty()) out.raw_member("next_top_logprob_ids", next_top_);
    next_top_.clear();
  }
  out.end_object();
}

}  // namespace shoal
