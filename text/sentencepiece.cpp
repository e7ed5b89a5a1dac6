#include "text/sentencepiece.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <unordered_map>

#include "base/utf8.h"
#include "text/metadata.h"

namespace shoal {
namespace {

constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kUnknownKey = "tokenizer.ggml.unknown_token_id";
constexpr std::string_view kSpace = "\xE2\x96\x81";  // U+2581, lower one eighth block
constexpr std::uint32_t kNoMerge = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();  // no such symbol
constexpr char32_t kFirstRawByte =
    0x110000;  // above all characters: a byte that is no UTF-8 is a symbol of its own

struct Character {
  char32_t codepoint = 0;
  std::uint32_t length = 0;
};

Character character_at(std::string_view text, std::size_t at) {
  const Utf8Step step = utf8_step(text, at);
  if (step.kind == Utf8Step::Kind::Character) return {step.codepoint, step.length};
  return {kFirstRawByte + static_cast<std::uint8_t>(text[at]), 1};
}

// Two pairs may share a bit: that only leaves two pieces in one. Gemma's tokens hold 34 thousand different
// pairs.
constexpr std::size_t kPairBits = std::size_t{1} << 20;

std::size_t pair_bit(char32_t left, char32_t right) {
  const std::uint64_t mixed =
      (std::uint64_t{left} << 32 | right) * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
  return static_cast<std::size_t>(mixed >> 40) % kPairBits;
}

bool is_mergeable(TokenType type) {
  return type == TokenType::Normal || type == TokenType::UserDefined || type == TokenType::Unused;
}

std::string byte_token_text(std::size_t byte) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  return std::string("<0x") + kDigits[byte >> 4] + kDigits[byte & 15] + ">";
}

}  // namespace

// The pair at `left`, `length` bytes long when it was seen.
struct SentencePiece::Candidate {
  std::uint64_t order = 0;  // (priority, left): the least is the one to merge next
  std::uint32_t length = 0;

  std::uint32_t left() const { return static_cast<std::uint32_t>(order); }
  friend bool operator>(const Candidate& a, const Candidate& b) { return a.order > b.order; }
};

struct SentencePiece::Scratch {
  std::string_view piece;
  std::vector<Symbol> symbols;
  std::vector<Candidate> candidates;                             // a heap, least on top
  std::unordered_map<TokenId, std::uint32_t> unused_left_bytes;  // how the piece's Unused tokens came about
};

SentencePiece::SentencePiece(const Vocabulary& vocabulary) : vocabulary_(&vocabulary) {}

Result<SentencePiece> SentencePiece::open(const GgufFile& file, const Vocabulary& vocabulary) {
  SentencePiece model(vocabulary);
  if (const Status read = model.read_scores(file); !read) return fail(read.error());
  if (const Status found = model.find_byte_tokens(file); !found) return fail(found.error());
  model.note_character_pairs();
  return model;
}

Status SentencePiece::read_scores(const GgufFile& file) {
  const Result<std::vector<float>> scores = required_floats(file, kScoresKey);
  if (!scores) return fail(scores.error());
  if (scores->size() != vocabulary_->size()) {
    return fail(ErrorCode::Corrupt, std::string(kScoresKey) + " has " + std::to_string(scores->size()) +
                                        " entries for " + std::to_string(vocabulary_->size()) + " tokens");
  }
  const auto odd =
      std::find_if(scores->begin(), scores->end(), [](float score) { return !std::isfinite(score); });
  if (odd != scores->end()) {
    return fail(ErrorCode::Corrupt,
                std::string(kScoresKey) + "[" + std::to_string(odd - scores->begin()) + "] is not finite");
  }
  std::vector<float> ranked = *scores;
  std::sort(ranked.begin(), ranked.end(), std::greater<>());
  ranked.erase(std::unique(ranked.begin(), ranked.end()), ranked.end());
  priorities_.assign(vocabulary_->size(), kNoMerge);
  for (std::size_t id = 0; id < priorities_.size(); ++id) {
    if (!is_mergeable(vocabulary_->type(static_cast<TokenId>(id)))) continue;
    const auto place = std::lower_bound(ranked.begin(), ranked.end(), (*scores)[id], std::greater<>());
    priorities_[id] = static_cast<std::uint32_t>(place - ranked.begin());
  }
  return {};
}

Status SentencePiece::find_byte_tokens(const GgufFile& file) {
  const auto unknown = optional_int(file, kUnknownKey);
  if (!unknown) return fail(unknown.error());
  const std::int64_t stand_in = unknown->value_or(kNoToken);
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const TokenId id = vocabulary_->find(byte_token_text(byte));
    byte_tokens_[byte] = id;
    if (id != kNoToken && vocabulary_->type(id) == TokenType::Byte) continue;
    if (!vocabulary_->contains(stand_in)) {
      return fail(ErrorCode::Corrupt, "tokenizer.ggml.tokens has no byte token " + byte_token_text(byte) +
                                          ", and " + std::string(kUnknownKey) +
                                          " names none to stand in for it");
    }
    byte_tokens_[byte] = static_cast<TokenId>(stand_in);
  }
  return {};
}

void SentencePiece::note_character_pairs() {
  pair_bits_.assign(kPairBits / 64, 0);
  for (std::size_t i = 0; i < vocabulary_->size(); ++i) {
    if (priorities_[i] == kNoMerge) continue;
    const std::string_view text = vocabulary_->text(static_cast<TokenId>(i));
    char32_t previous = 0;
    for (std::size_t at = 0; at < text.size();) {
      const Character character = character_at(text, at);
      const std::size_t bit = pair_bit(previous, character.codepoint);
      if (at > 0) pair_bits_[bit / 64] |= std::uint64_t{1} << (bit % 64);
      previous = character.codepoint;
      at += character.length;
    }
  }
}

bool SentencePiece::may_join(char32_t left, char32_t right) const {
  const std::size_t bit = pair_bit(left, right);
  return (pair_bits_[bit / 64] >> (bit % 64) & 1) != 0;
}

std::string SentencePiece::with_visible_spaces(std::string_view text, bool space_before) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  if (space_before) out.append(kSpace);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t space = std::min(text.find(' ', at), text.size());
    out.append(text.substr(at, space - at));
    if (space < text.size()) out.append(kSpace);
    at = space + 1;
  }
  return out;
}

void SentencePiece::encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const {
  Scratch scratch;
  std::size_t begin = 0;
  char32_t previous = 0;
  const auto finish = [&](std::size_t end) {
    const std::string_view piece = text.substr(begin, end - begin);
    cache.append(piece, ids, [&] { encode_piece(piece, scratch, ids); });
    begin = end;
  };
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (at > begin && !may_join(previous, character.codepoint)) finish(at);
    previous = character.codepoint;
    at += character.length;
  }
  if (begin < text.size()) finish(text.size());
}

void SentencePiece::encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const {
  scratch.piece = piece;
  scratch.unused_left_bytes.clear();
  std::vector<Symbol>& symbols = scratch.symbols;
  symbols.clear();
  for (std::uint32_t at = 0; at < piece.size();) {
    const std::uint32_t length = character_at(piece, at).length;
    const auto i = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({at, length, i == 0 ? kEnd : i - 1, at + length < piece.size() ? i + 1 : kEnd});
    at += length;
  }
  merge_all(scratch);
  for (std::uint32_t i = 0; i != kEnd; i = symbols[i].next) {
    append_symbol(piece.substr(symbols[i].begin, symbols[i].length), scratch, ids);
  }
}

void SentencePiece::merge_all(Scratch& scratch) const {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<Candidate>& candidates = scratch.candidates;
  candidates.clear();
  for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i) consider(i, scratch);
  while (!candidates.empty()) {
    const Candidate candidate = candidates.front();
    std::pop_heap(candidates.begin(), candidates.end(), std::greater<>());
    candidates.pop_back();

    // The pair may be gone: a neighbour took one of its halves.
    Symbol& left = symbols[candidate.left()];
    if (left.length == 0 || left.next == kEnd) continue;
    Symbol& right = symbols[left.next];
    if (left.length + right.length != candidate.length) continue;
    left.length = candidate.length;
    left.next = right.next;
    if (right.next != kEnd) symbols[right.next].previous = candidate.left();
    right.length = 0;
    if (left.previous != kEnd) consider(left.previous, scratch);
    consider(candidate.left(), scratch);
  }
}

// Makes the pair that begins at `left` a candidate, if its text is a token.
void SentencePiece::consider(std::uint32_t left, Scratch& scratch) const {
  const Symbol& symbol = scratch.symbols[left];
  if (symbol.next == kEnd) return;
  const std::uint32_t length = symbol.length + scratch.symbols[symbol.next].length;
  const TokenId id = vocabulary_->find(scratch.piece.substr(symbol.begin, length));
  if (id == kNoToken || priorities_[static_cast<std::size_t>(id)] == kNoMerge) return;
  if (vocabulary_->type(id) == TokenType::Unused) scratch.unused_left_bytes[id] = symbol.length;
  const std::uint64_t order = std::uint64_t{priorities_[static_cast<std::size_t>(id)]} << 32 | left;
  scratch.candidates.push_back({order, length});
  std::push_heap(scratch.candidates.begin(), scratch.candidates.end(), std::greater<>());
}

void SentencePiece::append_symbol(std::string_view text, Scratch& scratch, std::vector<TokenId>& ids) const {
  const TokenId id = vocabulary_->find(text);
  if (id == kNoToken || priorities_[static_cast<std::size_t>(id)] == kNoMerge) {
    for (const char byte : text) ids.push_back(byte_tokens_[static_cast<std::uint8_t>(byte)]);
    return;
  }
  const auto halves = scratch.unused_left_bytes.find(id);
  if (halves == scratch.unused_left_bytes.end()) return ids.push_back(id);
  // An Unused token is a step on the way to longer ones, never a result: back to what it was made of.
  append_symbol(text.substr(0, halves->second), scratch, ids);
  append_symbol(text.substr(halves->second), scratch, ids);
}

std::string SentencePiece::decoded(TokenId id) const {
  const std::string_view text = vocabulary_->text(id);
  const TokenType type = vocabulary_->type(id);
  if (type == TokenType::Byte) {
    const auto byte = std::find(byte_tokens_.begin(), byte_tokens_.end(), id);
    return byte == byte_tokens_.end() ? std::string(text)
                                      : std::string(1, static_cast<char>(byte - byte_tokens_.begin()));
  }
  if (type == TokenType::UserDefined || vocabulary_->is_control(id)) return std::string(text);
  std::string out(text);
  for (std::size_t at = out.find(kSpace); at != std::string::npos; at = out.find(kSpace, at + 1)) {
    out.replace(at, kSpace.size(), " ");
  }
  return out;
}

}  // namespace shoal
