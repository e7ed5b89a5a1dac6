#include "text/vocabulary.h"

#include <bit>
#include <functional>
#include <string>

#include "base/utf8.h"
#include "text/metadata.h"

namespace shoal {
namespace {

constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::size_t kMaxTokens = std::size_t{1} << 22;  // sixteen times the largest vocabulary we know
constexpr std::size_t kMaxTokenBytes = 4'096;
constexpr std::size_t kMaxVocabularyBytes = std::size_t{1} << 30;

Failure bad_token(std::size_t id, std::string_view what) {
  return fail(ErrorCode::Corrupt,
              std::string(kTokensKey) + "[" + std::to_string(id) + "] " + std::string(what));
}

std::size_t hash_of(std::string_view text) { return std::hash<std::string_view>{}(text); }

// Bits of the hash that do not choose the slot.
std::uint32_t tag_of(std::size_t hash) { return static_cast<std::uint32_t>(hash >> 32); }

}  // namespace

Result<Vocabulary> Vocabulary::open(const GgufFile& file) {
  Vocabulary vocabulary;
  if (const Status read = vocabulary.read_texts(file); !read) return fail(read.error());
  if (const Status read = vocabulary.read_types(file); !read) return fail(read.error());
  if (const Status indexed = vocabulary.index_texts(); !indexed) return fail(indexed.error());
  return vocabulary;
}

Status Vocabulary::read_texts(const GgufFile& file) {
  const Result<std::vector<std::string_view>> tokens = required_strings(file, kTokensKey);
  if (!tokens) return fail(tokens.error());
  if (tokens->empty() || tokens->size() > kMaxTokens) {
    return fail(ErrorCode::Corrupt, std::string(kTokensKey) + " holds " + std::to_string(tokens->size()) +
                                        " tokens; from 1 to " + std::to_string(kMaxTokens) +
                                        " are supported");
  }
  std::size_t num_bytes = 0;
  for (std::size_t id = 0; id < tokens->size(); ++id) {
    const std::string_view text = (*tokens)[id];
    if (text.size() > kMaxTokenBytes) return bad_token(id, "is longer than 4,096 bytes");
    if (!is_utf8(text)) return bad_token(id, "is not UTF-8");
    num_bytes += text.size();
  }
  if (num_bytes > kMaxVocabularyBytes) {
    return fail(ErrorCode::Corrupt, std::string(kTokensKey) + " holds more than 1 GiB of text");
  }
  texts_.reserve(tokens->size(), num_bytes);
  for (const std::string_view text : *tokens) texts_.add(text);
  return {};
}

Status Vocabulary::read_types(const GgufFile& file) {
  types_.assign(size(), TokenType::Normal);
  if (!file.has(kTypesKey)) return {};
  const Result<std::vector<std::int64_t>> types = required_ints(file, kTypesKey);
  if (!types) return fail(types.error());
  if (types->size() != size()) {
    return fail(ErrorCode::Corrupt, std::string(kTypesKey) + " has " + std::to_string(types->size()) +
                                        " entries for " + std::to_string(size()) + " tokens");
  }
  for (std::size_t id = 0; id < size(); ++id) {
    const std::int64_t type = (*types)[id];
    if (type < 1 || type > 6) {
      return fail(ErrorCode::Corrupt, std::string(kTypesKey) + "[" + std::to_string(id) + "] is " +
                                          std::to_string(type) + "; known types are 1 to 6");
    }
    types_[id] = static_cast<TokenType>(type);
  }
  return {};
}

Status Vocabulary::index_texts() {
  slots_.assign(std::bit_ceil(size() * 2), Slot{});
  const std::size_t mask = slots_.size() - 1;
  for (std::size_t id = 0; id < size(); ++id) {
    if (texts_[id].empty()) continue;
    if (const TokenId first = find(texts_[id]); first != kNoToken) {
      return bad_token(id, "repeats the text of token " + std::to_string(first));
    }
    const std::size_t hash = hash_of(texts_[id]);
    std::size_t slot = hash & mask;
    while (slots_[slot].id != kNoToken) slot = (slot + 1) & mask;
    slots_[slot] = {tag_of(hash), static_cast<TokenId>(id)};
  }
  return {};
}

TokenId Vocabulary::find(std::string_view wanted) const {
  if (wanted.empty()) return kNoToken;
  const std::size_t mask = slots_.size() - 1;
  const std::size_t hash = hash_of(wanted);
  const std::uint32_t tag = tag_of(hash);
  for (std::size_t slot = hash & mask; slots_[slot].id != kNoToken; slot = (slot + 1) & mask) {
    if (slots_[slot].tag == tag && text(slots_[slot].id) == wanted) return slots_[slot].id;
  }
  return kNoToken;
}

}  // namespace shoal
