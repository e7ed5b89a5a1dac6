#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <deque>
#include <optional>
#include <utility>

#include "base/log.h"
#include "model/gguf.h"
#include "text/bpe.h"
#include "text/metadata.h"
#include "text/piece_cache.h"
#include "text/sentencepiece.h"
#include "text/special_tokens.h"
#include "text/vocabulary.h"

namespace shoal {
namespace {

constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;

// Keys that name a token at which an answer ends.
constexpr std::array<std::string_view, 3> kEndKeys = {
    "tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"};
// Texts that end a turn or a text in the model families we run, for files whose keys name only one of
// several.
constexpr std::array<std::string_view, 7> kEndTexts = {
    "<|im_end|>", "<end_of_turn>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>"};

// The token that `key` names; kNoToken where the key is absent.
Result<TokenId> named_token(const GgufFile& file, std::string_view key, const Vocabulary& vocabulary) {
  const auto id = optional_int(file, key);
  if (!id) return fail(id.error());
  if (!id->has_value()) return kNoToken;
  if (!vocabulary.contains(**id)) {
    return fail(ErrorCode::Corrupt, std::string(key) + " is " + std::to_string(**id) + ", but there are " +
                                        std::to_string(vocabulary.size()) + " tokens");
  }
  return static_cast<TokenId>(**id);
}

// One call of encode. The cache is used across the text's fragments, and its pieces are views into `visible`.
struct Session {
  explicit Session(std::size_t text_bytes) : cache(text_bytes) {}

  std::vector<TokenId> ids;
  std::deque<std::string> visible;  // strings that stay where they are
  PieceCache cache;
};

}  // namespace

struct Tokenizer::State {
  explicit State(Vocabulary v) : vocabulary(std::move(v)), special_tokens(vocabulary) {}

  Status open_model(const GgufFile& file);
  Status read_ends(const GgufFile& file);
  Status read_bos(const GgufFile& file);
  void decode_pieces();
  Status encode_plain(std::string_view text, bool after_special, Session& session) const;

  Vocabulary vocabulary;
  SpecialTokens special_tokens;
  std::optional<Bpe> bpe;  // this or the next, as the file says
  std::optional<SentencePiece> sentence_piece;
  StringArena pieces;                // each token's bytes as they are read
  std::vector<TokenId> end_of_text;  // ascending
  TokenId bos = kNoToken;
  TokenId eos = kNoToken;
  bool adds_bos = false;
  bool adds_space_prefix = false;
};

Status Tokenizer::State::open_model(const GgufFile& file) {
  const auto kind = optional_string(file, "tokenizer.ggml.model");
  if (!kind) return fail(kind.error());
  const std::string_view name = kind->value_or("");
  if (name == "gpt2") {
    Result<Bpe> opened = Bpe::open(file, vocabulary);
    if (!opened) return fail(opened.error());
    bpe = *std::move(opened);
    return {};
  }
  if (name == "llama") {
    Result<SentencePiece> opened = SentencePiece::open(file, vocabulary);
    if (!opened) return fail(opened.error());
    sentence_piece = *std::move(opened);
    const auto prefix = optional_bool(file, "tokenizer.ggml.add_space_prefix");
    if (!prefix) return fail(prefix.error());
    adds_space_prefix = prefix->value_or(true);
    return {};
  }
  return fail(ErrorCode::Unsupported, "tokenizer.ggml.model is \"" + std::string(name) +
                                          "\"; supported: gpt2 (byte-level BPE), llama (SentencePiece)");
}

Status Tokenizer::State::read_ends(const GgufFile& file) {
  for (const std::string_view key : kEndKeys) {
    const Result<TokenId> id = named_token(file, key, vocabulary);
    if (!id) return fail(id.error());
    if (key == kEndKeys.front()) eos = *id;
    if (*id != kNoToken) end_of_text.push_back(*id);
  }
  for (const std::string_view text : kEndTexts) {
    const TokenId id = vocabulary.find(text);
    if (id != kNoToken && vocabulary.is_control(id)) end_of_text.push_back(id);
  }
  std::sort(end_of_text.begin(), end_of_text.end());
  return {};
}

Status Tokenizer::State::read_bos(const GgufFile& file) {
  const Result<TokenId> id = named_token(file, "tokenizer.ggml.bos_token_id", vocabulary);
  if (!id) return fail(id.error());
  bos = *id;
  const auto asked = optional_bool(file, "tokenizer.ggml.add_bos_token");
  if (!asked) return fail(asked.error());
  if (*asked == true && bos == kNoToken) {
    return fail(ErrorCode::Corrupt,
                "tokenizer.ggml.add_bos_token is true, but tokenizer.ggml.bos_token_id is missing");
  }
  const bool by_default = bpe ? bpe->adds_bos_by_default() : true;
  adds_bos = asked->value_or(by_default && bos != kNoToken);
  return {};
}

void Tokenizer::State::decode_pieces() {
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    pieces.add(bpe ? bpe->decoded(id) : sentence_piece->decoded(id));
  }
}

Status Tokenizer::State::encode_plain(std::string_view text, bool after_special, Session& session) const {
  if (bpe) return bpe->encode(text, session.cache, session.ids);
  const bool space_before = adds_space_prefix && after_special;
  session.visible.push_back(SentencePiece::with_visible_spaces(text, space_before));
  sentence_piece->encode(session.visible.back(), session.cache, session.ids);
  return {};
}

Tokenizer::Tokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::open(const GgufFile& file) {
  const std::string activity = "reading the tokenizer of " + file.path();
  Result<Vocabulary> vocabulary = Vocabulary::open(file);
  if (!vocabulary) return fail(vocabulary.error().during(activity));
  auto state = std::make_unique<State>(*std::move(vocabulary));
  for (const auto read : {&State::open_model, &State::read_ends, &State::read_bos}) {
    if (const Status done = (state.get()->*read)(file); !done) return fail(done.error().during(activity));
  }
  state->decode_pieces();
  if (state->bpe && state->bpe->num_bytes_without_token() > 0) {
    log_debug("tokenizer_lacks_bytes",
              {{"path", file.path()}, {"bytes", state->bpe->num_bytes_without_token()}});
  }
  return Tokenizer(std::move(state));
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text, bool parse_special) const {
  if (text.size() > kMaxTextBytes) {
    return fail(ErrorCode::InvalidArgument, "a text of " + std::to_string(text.size()) +
                                                " bytes is too long to tokenize; at most 64 MiB");
  }
  Session session(text.size());
  bool after_special = true;  // the text's beginning counts as one
  for (const Fragment& fragment : state_->special_tokens.split(text, parse_special)) {
    if (fragment.token != kNoToken) {
      session.ids.push_back(fragment.token);
    } else if (const Status done = state_->encode_plain(fragment.text, after_special, session); !done) {
      return fail(done.error());
    }
    after_special = fragment.token != kNoToken;
  }
  return std::move(session.ids);
}

std::optional<Tokenizer::LeftOut> Tokenizer::left_out(std::string_view text,
                                                      std::span<const TokenId> ids) const {
  if (!state_->bpe)
    return std::nullopt;  // SentencePiece falls back to tokens for bytes, or to the unknown one
  const std::string kept = decode(ids, /*render_special=*/true);
  if (kept.size() >= text.size()) return std::nullopt;
  const auto departure = std::ranges::mismatch(text, kept);
  return LeftOut{static_cast<std::size_t>(departure.in1 - text.begin()), text.size() - kept.size()};
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool render_special) const {
  std::string text;
  for (const TokenId id : ids) text.append(piece(id, render_special));
  return text;
}

std::string_view Tokenizer::piece(TokenId id, bool render_special) const {
  if (!state_->vocabulary.contains(id)) return "";
  const bool hidden = state_->vocabulary.is_control(id) || state_->vocabulary.type(id) == TokenType::Unused;
  if (hidden && !render_special) return "";
  return state_->pieces[static_cast<std::size_t>(id)];
}

std::size_t Tokenizer::vocab_size() const { return state_->vocabulary.size(); }

bool Tokenizer::is_control(TokenId id) const {
  return state_->vocabulary.contains(id) && state_->vocabulary.is_control(id);
}

TokenId Tokenizer::bos() const { return state_->bos; }
TokenId Tokenizer::eos() const { return state_->eos; }
bool Tokenizer::adds_bos() const { return state_->adds_bos; }

bool Tokenizer::is_end_of_text(TokenId id) const {
  return std::binary_search(state_->end_of_text.begin(), state_->end_of_text.end(), id);
}

std::string Tokenizer::bos_text() const { return std::string(piece(state_->bos, true)); }
std::string Tokenizer::eos_text() const { return std::string(piece(state_->eos, true)); }

}  // namespace shoal
