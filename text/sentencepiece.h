#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "text/piece_cache.h"
#include "text/vocabulary.h"

namespace shoal {

class GgufFile;

// SentencePiece's BPE: spaces become U+2581, a text begins as its characters, and the adjacent pair whose
// joined text is the token of highest score (of equal ones the leftmost) becomes one symbol until no pair is
// a token. A symbol that is no token goes in as its bytes (<0xNN>). A text is first cut where no token spans
// the cut, which changes no id and lets equal words be merged once. O(n log n) in a piece's characters.
// Immutable after open: any thread.
// Source: Kudo and Richardson 2018; the file's scores stand for the order in which the pairs were learned.
class SentencePiece {
 public:
  // tokenizer.ggml.scores. `vocabulary` must stay where it is while the SentencePiece lives.
  static Result<SentencePiece> open(const GgufFile& file, const Vocabulary& vocabulary);

  // The text as the vocabulary writes it. `space_before`: as if it began with a space. (So a U+2581 of the
  // text's own becomes a space when decoded: the format's loss, not ours.)
  static std::string with_visible_spaces(std::string_view text, bool space_before);

  // Appends the ids of `text`, made by with_visible_spaces; it outlives `cache`, as does `ids`.
  void encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const;

  // The text that the token stands for.
  std::string decoded(TokenId id) const;

 private:
  struct Symbol {
    std::uint32_t begin = 0;   // in the piece, bytes
    std::uint32_t length = 0;  // 0: merged into its left neighbour
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };
  struct Candidate;
  struct Scratch;

  explicit SentencePiece(const Vocabulary& vocabulary);
  Status read_scores(const GgufFile& file);
  Status find_byte_tokens(const GgufFile& file);
  void note_character_pairs();
  bool may_join(char32_t left, char32_t right) const;

  void encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const;
  void merge_all(Scratch& scratch) const;
  void consider(std::uint32_t left, Scratch& scratch) const;
  void append_symbol(std::string_view text, Scratch& scratch, std::vector<TokenId>& ids) const;

  const Vocabulary* vocabulary_;
  std::vector<std::uint32_t>
      priorities_;  // by token: place of its score among all, best 0; kNoMerge where it is not merged to
  std::vector<std::uint64_t> pair_bits_;  // set by hash: two characters that are adjacent in some token
  std::array<TokenId, 256> byte_tokens_{};
};

}  // namespace shoal
