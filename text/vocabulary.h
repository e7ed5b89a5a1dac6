#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "text/string_arena.h"

namespace shoal {

class GgufFile;

// As GGUF numbers them (tokenizer.ggml.token_type).
enum class TokenType : std::uint8_t {
  Normal = 1,
  Unknown = 2,
  Control = 3,
  UserDefined = 4,
  Unused = 5,
  Byte = 6
};

inline constexpr TokenId kNoToken = -1;

// The file's tokens: text as written there (byte alphabet or U+2581 included), type, and the way back from
// text to id. Owns its strings; immutable after open: any thread.
class Vocabulary {
 public:
  // tokenizer.ggml.tokens and, where present, token_type (absent: all Normal). Checked: counts, known types,
  // UTF-8, texts unique.
  static Result<Vocabulary> open(const GgufFile& file);

  std::size_t size() const { return texts_.size(); }
  std::string_view text(TokenId id) const { return texts_[static_cast<std::size_t>(id)]; }
  TokenType type(TokenId id) const { return types_[static_cast<std::size_t>(id)]; }
  bool contains(std::int64_t id) const { return id >= 0 && static_cast<std::uint64_t>(id) < size(); }
  // Text that means something to the model and nothing to the reader: <bos>, <|im_end|>, <unk>.
  bool is_control(TokenId id) const {
    return type(id) == TokenType::Control || type(id) == TokenType::Unknown;
  }

  // kNoToken if no token has this text. Empty tokens are never found.
  TokenId find(std::string_view text) const;

 private:
  Vocabulary() = default;
  Status read_texts(const GgufFile& file);
  Status read_types(const GgufFile& file);
  Status index_texts();

  StringArena texts_;
  std::vector<TokenType> types_;

  struct Slot {
    std::uint32_t tag = 0;  // of the text's hash: most unequal texts are told apart without a look at them
    TokenId id = kNoToken;
  };
  std::vector<Slot> slots_;  // open addressing by hash of the text; a power of two, at most half full
};

}  // namespace shoal
