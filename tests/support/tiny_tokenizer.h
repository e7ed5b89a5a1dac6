#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/gguf_writer.h"

namespace shoal {

enum class TinyTokenizerKind : std::uint8_t { ByteLevelBpe, SentencePiece };

// A small tokenizer that really works, as a GGUF file carries it: trained on a paragraph of English, every
// byte reachable. Control tokens: <|endoftext|> <|im_start|> <|im_end|> (byte-level), <pad> <eos> <bos> <unk>
// <start_of_turn> <end_of_turn> (SentencePiece-style, which also has <0x00> to <0xFF>). Beyond what training
// gives, the vocabulary is filled with words that no text is encoded to.
struct TinyTokenizer {
  std::string model;  // "gpt2" or "llama"
  std::string pre;
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;  // 1 normal, 2 unknown, 3 control, 6 byte
  std::vector<float> scores;        // SentencePiece-style only
  std::vector<std::string> merges;  // byte-level only
  std::uint32_t bos = 0;
  std::uint32_t eos = 0;
  std::uint32_t unknown = 0;
  std::uint32_t padding = 0;
  bool adds_bos = false;

  void write_to(GgufWriter& writer) const;
};

inline constexpr std::uint32_t kTinyMinVocab = 384;

// vocab_size >= kTinyMinVocab. `pre` names the byte-level pre-tokenizer: smollm, qwen2, llama-bpe, gpt-2,
// default.
TinyTokenizer make_tiny_tokenizer(TinyTokenizerKind kind, std::uint32_t vocab_size, const std::string& pre);

}  // namespace shoal
