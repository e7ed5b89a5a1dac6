#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"

namespace shoal {

class GgufFile;

// Text to token ids and back, from a GGUF file's own tables: byte-level BPE ("gpt2" with the pre-tokenizers
// smollm, qwen2, llama-bpe, gpt-2, default) and SentencePiece-style with byte fallback ("llama"). Immutable
// after open: any thread. Sources: GGUF specification (tokenizer.ggml.*); Sennrich et al. 2016 (BPE); Kudo
// and Richardson 2018 (SentencePiece).
class Tokenizer {
 public:
  static Result<Tokenizer> open(const GgufFile& file);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // parse_special: control tokens written in the text ("<|im_end|>") become their ids; otherwise they are
  // plain text. User-defined tokens become their ids either way; longer written tokens win over shorter ones.
  // Adds no beginning-of-text token. Any bytes are accepted; invalid UTF-8 goes in byte by byte.
  // O(n log n). Errors: InvalidArgument (more than 64 MiB).
  // What decode cannot give back, because the file has no id for it: a byte that a byte-level vocabulary
  // lacks (SmolLM2: 21 of them, rare control characters or no UTF-8) is left out; a U+2581 in a SentencePiece
  // text reads as a space; and a file with add_space_prefix puts a space before the text.
  Result<std::vector<TokenId>> encode(std::string_view text, bool parse_special) const;

  // The bytes of `text` that encode left out of its ids; nothing: all are there.
  struct LeftOut {
    std::size_t first = 0;  // where in the text
    std::size_t count = 0;
  };
  std::optional<LeftOut> left_out(std::string_view text, std::span<const TokenId> ids) const;

  // The exact bytes of the ids, piece after piece: control, unknown and unused tokens as nothing unless
  // `render_special`.
  std::string decode(std::span<const TokenId> ids, bool render_special) const;
  // One token's bytes; an id out of range gives "".
  std::string_view piece(TokenId id, bool render_special) const;

  std::size_t vocab_size() const;
  bool is_control(TokenId id) const;  // control or unknown
  TokenId bos() const;                // -1: none
  TokenId eos() const;                // -1: none
  bool adds_bos() const;              // the file asks for bos before a text
  // eos, eot, eom, and <|im_end|>, <end_of_turn>, <|eot_id|>... where the file marks them control.
  bool is_end_of_text(TokenId id) const;
  std::string bos_text() const;
  std::string eos_text() const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Turns a stream of tokens into text that never holds half a UTF-8 character: bytes wait until their
// character is complete; bytes that can never become one are given as U+FFFD at once. flush() gives what
// still waits.
class TextStream {
 public:
  std::string push(std::string_view piece);
  std::string flush();

 private:
  std::string pending_;
};

}  // namespace shoal
