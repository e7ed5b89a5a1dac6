#include "text/bpe.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>
#include <utility>

#include "text/byte_alphabet.h"
#include "text/metadata.h"

namespace shoal {
namespace {

constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";
constexpr std::size_t kMaxMerges = std::size_t{1} << 22;
constexpr std::uint32_t kNoRank = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kEnd = std::numeric_limits<std::uint32_t>::max();  // no such symbol

std::uint64_t pair_of(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
}

std::size_t hash_of(std::uint64_t pair) {
  const std::uint64_t mixed = pair * 0x9E3779B97F4A7C15u;  // 2^64 / golden ratio
  return static_cast<std::size_t>(mixed ^ (mixed >> 32));
}

Failure bad_merge(std::size_t rank, std::string_view text, std::string_view what) {
  return fail(ErrorCode::Corrupt, std::string(kMergesKey) + "[" + std::to_string(rank) + "] (\"" +
                                      std::string(text.substr(0, 80)) + "\") " + std::string(what));
}

}  // namespace

// A candidate is (rank, position of its left symbol) in one number, so that the least is the one to merge
// next.
struct Bpe::Scratch {
  std::vector<Symbol> symbols;
  std::vector<std::uint64_t> candidates;  // a heap, least on top
  std::string characters;
};

Bpe::Bpe(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer, bool llama3)
    : vocabulary_(&vocabulary), pre_tokenizer_(std::move(pre_tokenizer)), llama3_(llama3) {
  for (std::size_t byte = 0; byte < byte_tokens_.size(); ++byte) {
    const TokenId id = vocabulary.find(byte_character(static_cast<std::uint8_t>(byte)));
    byte_tokens_[byte] = id != kNoToken && vocabulary.is_control(id) ? kNoToken : id;
  }
}

Result<Bpe> Bpe::open(const GgufFile& file, const Vocabulary& vocabulary) {
  const auto pre = optional_string(file, kPreKey);
  if (!pre) return fail(pre.error());
  const std::string_view pre_name = pre->value_or("default");
  Result<PreTokenizer> pre_tokenizer = PreTokenizer::open(pre_name);
  if (!pre_tokenizer) return fail(pre_tokenizer.error());

  Bpe bpe(vocabulary, *std::move(pre_tokenizer), pre_name == "llama-bpe");
  if (bpe.num_bytes_without_token() == bpe.byte_tokens_.size()) {
    return fail(ErrorCode::Corrupt,
                "tokenizer.ggml.tokens holds no single-byte token; is tokenizer.ggml.model right?");
  }
  if (const Status read = bpe.read_merges(file); !read) return fail(read.error());
  bpe.index_merges();
  return bpe;
}

Status Bpe::read_merges(const GgufFile& file) {
  const Result<std::vector<std::string_view>> texts = required_strings(file, kMergesKey);
  if (!texts) return fail(texts.error());
  if (texts->size() > kMaxMerges) {
    return fail(ErrorCode::Corrupt, std::string(kMergesKey) + " holds " + std::to_string(texts->size()) +
                                        " merges; at most " + std::to_string(kMaxMerges) + " are supported");
  }
  merges_.reserve(texts->size());
  for (std::size_t rank = 0; rank < texts->size(); ++rank) {
    const Result<Merge> merge = parse_merge(rank, (*texts)[rank]);
    if (!merge) return fail(merge.error());
    merges_.push_back(*merge);
  }
  return {};
}

Result<Bpe::Merge> Bpe::parse_merge(std::size_t rank, std::string_view text) const {
  const std::size_t space =
      text.find(' ', 1);  // the alphabet has no space: the first one parts left from right
  if (space == std::string_view::npos) return bad_merge(rank, text, "is not two tokens with a space between");
  const std::string_view left = text.substr(0, space);
  const std::string_view right = text.substr(space + 1);
  const Merge merge = {vocabulary_->find(left), vocabulary_->find(right),
                       vocabulary_->find(std::string(left) + std::string(right))};
  if (merge.left == kNoToken || merge.right == kNoToken)
    return bad_merge(rank, text, "has a part that is no token");
  if (merge.result == kNoToken) return bad_merge(rank, text, "makes a text that is no token");
  for (const TokenId id : {merge.left, merge.right, merge.result}) {
    if (vocabulary_->is_control(id)) return bad_merge(rank, text, "makes or takes a control token");
  }
  return merge;
}

void Bpe::index_merges() {
  slots_.assign(std::bit_ceil(std::max<std::size_t>(merges_.size() * 2, 2)), Slot{0, kNoRank});
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t rank = 0; rank < merges_.size(); ++rank) {
    const std::uint64_t pair = pair_of(merges_[rank].left, merges_[rank].right);
    std::size_t slot = hash_of(pair) & mask;
    while (slots_[slot].rank != kNoRank && slots_[slot].pair != pair) slot = (slot + 1) & mask;
    if (slots_[slot].rank != kNoRank) continue;  // a pair listed twice keeps its first rank
    slots_[slot] = {pair, static_cast<std::uint32_t>(rank)};
  }
}

std::uint32_t Bpe::rank_of(TokenId left, TokenId right) const {
  if (left == kNoToken || right == kNoToken) return kNoRank;
  const std::uint64_t pair = pair_of(left, right);
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t slot = hash_of(pair) & mask; slots_[slot].rank != kNoRank; slot = (slot + 1) & mask) {
    if (slots_[slot].pair == pair) return slots_[slot].rank;
  }
  return kNoRank;
}

Status Bpe::encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const {
  std::vector<std::string_view> pieces;
  if (Status split = pre_tokenizer_.split(text, pieces); !split) return split;
  Scratch scratch;
  for (const std::string_view piece : pieces) {
    cache.append(piece, ids, [&] { encode_piece(piece, scratch, ids); });
  }
  return {};
}

void Bpe::encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const {
  if (llama3_) {
    if (const TokenId id = whole_piece(piece, scratch); id != kNoToken) return ids.push_back(id);
  }
  std::vector<Symbol>& symbols = scratch.symbols;
  symbols.clear();
  for (std::uint32_t i = 0; i < piece.size(); ++i) {
    const TokenId id = byte_tokens_[static_cast<std::uint8_t>(piece[i])];
    symbols.push_back({id, i == 0 ? kEnd : i - 1, i + 1 < piece.size() ? i + 1 : kEnd});
  }
  merge_all(scratch);
  for (std::uint32_t i = 0; i != kEnd; i = symbols[i].next) {
    if (symbols[i].id != kNoToken) ids.push_back(symbols[i].id);
  }
}

TokenId Bpe::whole_piece(std::string_view piece, Scratch& scratch) const {
  scratch.characters.clear();
  append_byte_characters(scratch.characters, piece);
  const TokenId id = vocabulary_->find(scratch.characters);
  const bool plain =
      id != kNoToken && !vocabulary_->is_control(id) && vocabulary_->type(id) != TokenType::Unused;
  return plain ? id : kNoToken;
}

void Bpe::merge_all(Scratch& scratch) const {
  std::vector<Symbol>& symbols = scratch.symbols;
  std::vector<std::uint64_t>& candidates = scratch.candidates;
  candidates.clear();
  for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i) {
    const std::uint32_t rank = rank_of(symbols[i].id, symbols[i + 1].id);
    if (rank != kNoRank) candidates.push_back(std::uint64_t{rank} << 32 | i);
  }
  std::make_heap(candidates.begin(), candidates.end(), std::greater<>());
  while (!candidates.empty()) {
    const Merge& merge = merges_[candidates.front() >> 32];
    const auto left = static_cast<std::uint32_t>(candidates.front());
    std::pop_heap(candidates.begin(), candidates.end(), std::greater<>());
    candidates.pop_back();

    // The pair may be gone: a neighbour took one of its halves.
    if (symbols[left].id != merge.left || symbols[left].next == kEnd) continue;
    Symbol& right = symbols[symbols[left].next];
    if (right.id != merge.right) continue;
    symbols[left].id = merge.result;
    symbols[left].next = right.next;
    if (right.next != kEnd) symbols[right.next].previous = left;
    right.id = kNoToken;
    if (symbols[left].previous != kEnd) consider(symbols[left].previous, scratch);
    consider(left, scratch);
  }
}

// Makes the pair that begins at `left` a candidate, if it merges.
void Bpe::consider(std::uint32_t left, Scratch& scratch) const {
  const Symbol& symbol = scratch.symbols[left];
  if (symbol.next == kEnd) return;
  const std::uint32_t rank = rank_of(symbol.id, scratch.symbols[symbol.next].id);
  if (rank == kNoRank) return;
  scratch.candidates.push_back(std::uint64_t{rank} << 32 | left);
  std::push_heap(scratch.candidates.begin(), scratch.candidates.end(), std::greater<>());
}

std::string Bpe::decoded(TokenId id) const {
  const std::string_view text = vocabulary_->text(id);
  const bool written_as_is = vocabulary_->type(id) == TokenType::UserDefined || vocabulary_->is_control(id);
  return written_as_is ? std::string(text) : decode_byte_characters(text);
}

std::size_t Bpe::num_bytes_without_token() const {
  return static_cast<std::size_t>(std::count(byte_tokens_.begin(), byte_tokens_.end(), kNoToken));
}

}  // namespace shoal
