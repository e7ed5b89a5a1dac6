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
#include "text/pre_tokenizer.h"
#include "text/vocabulary.h"

namespace shoal {

class GgufFile;

// Byte-level BPE: a text is cut into pieces, a piece begins as its bytes, and the adjacent pair of lowest
// merge rank (of equal ones the leftmost) becomes one token until no pair has a rank. O(n log n) in a piece's
// bytes. Immutable after open: any thread. Sources: Sennrich et al. 2016; Radford et al. 2019 (bytes as the
// alphabet).
class Bpe {
 public:
  // tokenizer.ggml.merges and tokenizer.ggml.pre (absent: "default"). Every merge's parts and result must be
  // tokens. `vocabulary` must stay where it is while the Bpe lives.
  static Result<Bpe> open(const GgufFile& file, const Vocabulary& vocabulary);

  // Appends the ids of `text`, which outlives `cache`, as does `ids`. A byte that has no token in the file is
  // left out, as other programs do with such files.
  Status encode(std::string_view text, PieceCache& cache, std::vector<TokenId>& ids) const;

  // The bytes that a token's vocabulary text stands for.
  std::string decoded(TokenId id) const;

  // Whether the file's pre-tokenizer asks for bos where the file does not say.
  bool adds_bos_by_default() const { return llama3_; }
  std::size_t num_bytes_without_token() const;

 private:
  struct Merge {
    TokenId left = kNoToken;
    TokenId right = kNoToken;
    TokenId result = kNoToken;
  };
  struct Slot {
    std::uint64_t pair = 0;
    std::uint32_t rank = 0;
  };
  struct Symbol {
    TokenId id = kNoToken;  // kNoToken: merged into its left neighbour, or a byte without a token
    std::uint32_t previous = 0;
    std::uint32_t next = 0;
  };
  struct Scratch;

  Bpe(const Vocabulary& vocabulary, PreTokenizer pre_tokenizer, bool llama3);
  Status read_merges(const GgufFile& file);
  Result<Merge> parse_merge(std::size_t rank, std::string_view text) const;
  void index_merges();
  std::uint32_t rank_of(TokenId left, TokenId right) const;  // kNoRank: they do not merge

  void encode_piece(std::string_view piece, Scratch& scratch, std::vector<TokenId>& ids) const;
  TokenId whole_piece(std::string_view piece, Scratch& scratch) const;
  void merge_all(Scratch& scratch) const;
  void consider(std::uint32_t left, Scratch& scratch) const;

  const Vocabulary* vocabulary_;
  PreTokenizer pre_tokenizer_;
  bool llama3_;  // a piece that is a token as a whole is taken whole, whatever the merges say; bos by default
  std::array<TokenId, 256> byte_tokens_{};
  std::vector<Merge> merges_;  // by rank
  std::vector<Slot> slots_;    // open addressing by pair; a power of two, at most half full
};

}  // namespace shoal
