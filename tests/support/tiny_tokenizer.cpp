#include "tests/support/tiny_tokenizer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "base/check.h"

namespace shoal {
namespace {

constexpr std::string_view kTrainingText =
    "once upon a time there was a small city by the water where every street had a little lamp and every "
    "lamp had a voice the "
    "people of the city did not know that the lamps could talk to each other in the night they told stories "
    "about the ships that "
    "came into the harbour about the children who played near the bridge and about the old clock that was "
    "always late one evening "
    "a storm came over the sea and the wind took the light from half of the houses the lamps began to "
    "whisper faster and faster "
    "what should we do when one of us goes dark said the smallest lamp then another will remember its part "
    "of the story and carry "
    "on from the same word said the oldest because no one of us holds the whole tale and together we forget "
    "nothing so they passed "
    "the sentence from street to street and when a lamp went out its neighbour took the next word without a "
    "pause in the morning "
    "the storm was gone the workers came to mend the broken wires and the children asked who had been "
    "singing all night long "
    "the answer is simple many small things that share their work can do what one great thing cannot and if "
    "any of them should "
    "fail the others will finish the song question please write me a short list of three numbers and explain "
    "how they are used";

constexpr std::int32_t kNormal = 1;
constexpr std::int32_t kUnknown = 2;
constexpr std::int32_t kControl = 3;
constexpr std::int32_t kByte = 6;

using Symbols = std::vector<std::string>;

std::string utf8(unsigned code_point) {  // below U+0800
  if (code_point < 0x80) return {static_cast<char>(code_point)};
  return {static_cast<char>(0xC0u | code_point >> 6), static_cast<char>(0x80u | (code_point & 0x3Fu))};
}

// The printable stand-in for each byte in byte-level vocabularies: itself where it is a visible Latin-1
// character, else the next free code point from U+0100. Source: Radford et al. 2019 (GPT-2), byte-level BPE.
std::array<std::string, 256> byte_symbols() {
  std::array<std::string, 256> symbols;
  unsigned next = 256;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool visible = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    symbols[byte] = utf8(visible ? byte : next++);
  }
  return symbols;
}

// The training text's words, each as `space` and its letters, with how often it occurs.
std::map<Symbols, int> training_words(const std::string& space) {
  std::map<Symbols, int> words;
  Symbols word{space};
  for (const char c : std::string(kTrainingText) + " ") {
    if (c != ' ') {
      word.emplace_back(1, c);
      continue;
    }
    ++words[word];
    word = {space};
  }
  return words;
}

void merge_in_word(Symbols& word, const std::pair<std::string, std::string>& pair) {
  for (std::size_t i = 0; i + 1 < word.size(); ++i) {
    if (word[i] != pair.first || word[i + 1] != pair.second) continue;
    word[i] += word[i + 1];
    word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
}

// Byte-pair encoding's training: the most frequent neighbours become one symbol, again and again; ties go to
// the lesser pair.
std::vector<std::pair<std::string, std::string>> train_merges(const std::string& space,
                                                              std::size_t max_merges) {
  const std::map<Symbols, int> counted = training_words(space);
  std::vector<std::pair<Symbols, int>> words(counted.begin(), counted.end());
  std::vector<std::pair<std::string, std::string>> merges;
  while (merges.size() < max_merges) {
    std::map<std::pair<std::string, std::string>, int> pairs;
    for (const auto& [word, count] : words) {
      for (std::size_t i = 0; i + 1 < word.size(); ++i) pairs[{word[i], word[i + 1]}] += count;
    }
    if (pairs.empty()) break;
    const auto best = std::max_element(pairs.begin(), pairs.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    merges.push_back(best->first);
    for (auto& [word, count] : words) merge_in_word(word, best->first);
  }
  return merges;
}

class Vocabulary {
 public:
  Vocabulary(TinyTokenizer& tokenizer, std::size_t max_size) : tokenizer_(tokenizer), max_size_(max_size) {}

  bool full() const { return tokenizer_.tokens.size() == max_size_; }
  // False if the token is there already.
  bool add(const std::string& token, std::int32_t type) {
    if (!seen_.insert(token).second) return false;
    SHOAL_CHECK(!full());
    tokenizer_.tokens.push_back(token);
    tokenizer_.types.push_back(type);
    return true;
  }
  void fill(const std::string& space) {
    for (int i = 0; !full(); ++i) add(space + "x" + std::to_string(i), kNormal);
  }

 private:
  TinyTokenizer& tokenizer_;
  std::size_t max_size_;
  std::set<std::string> seen_;
};

TinyTokenizer make_byte_level(std::uint32_t vocab_size, const std::string& pre) {
  TinyTokenizer tokenizer{.model = "gpt2", .pre = pre, .tokens = {}, .types = {}, .scores = {}, .merges = {}};
  const std::array<std::string, 256> bytes = byte_symbols();
  const std::string space = bytes[' '];
  Vocabulary vocabulary(tokenizer, vocab_size);
  for (const char* control : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"})
    vocabulary.add(control, kControl);
  for (const std::string& symbol : bytes) vocabulary.add(symbol, kNormal);
  for (const auto& [left, right] : train_merges(space, vocab_size)) {
    if (vocabulary.full()) break;
    vocabulary.add(left + right, kNormal);
    tokenizer.merges.push_back(left + " " + right);
  }
  vocabulary.fill(space);
  tokenizer.bos = 1;
  tokenizer.eos = 2;
  tokenizer.unknown = 0;
  tokenizer.padding = 2;
  return tokenizer;
}

TinyTokenizer make_sentence_piece(std::uint32_t vocab_size) {
  TinyTokenizer tokenizer{
      .model = "llama", .pre = "default", .tokens = {}, .types = {}, .scores = {}, .merges = {}};
  const std::string space = "\xE2\x96\x81";  // U+2581
  Vocabulary vocabulary(tokenizer, vocab_size);
  for (const char* control : {"<pad>", "<eos>", "<bos>"}) vocabulary.add(control, kControl);
  vocabulary.add("<unk>", kUnknown);
  for (const char* control : {"<start_of_turn>", "<end_of_turn>"}) vocabulary.add(control, kControl);
  for (unsigned byte = 0; byte < 256; ++byte) {
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocabulary.add(name, kByte);
  }
  vocabulary.add(space, kNormal);
  for (const char c :
       std::string_view("\nabcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"-()ABCDEFGHIJKLMNOPQRSTUVWXYZ")) {
    vocabulary.add(std::string(1, c), kNormal);
  }
  for (const auto& [left, right] : train_merges(space, vocab_size)) {
    if (vocabulary.full()) break;
    vocabulary.add(left + right, kNormal);
  }
  vocabulary.fill(space);
  for (std::size_t i = 0; i < tokenizer.tokens.size(); ++i) {
    tokenizer.scores.push_back(tokenizer.types[i] == kNormal ? -static_cast<float>(i) : -1000.0f);
  }
  tokenizer.bos = 2;
  tokenizer.eos = 1;
  tokenizer.unknown = 3;
  tokenizer.padding = 0;
  tokenizer.adds_bos = true;
  return tokenizer;
}

}  // namespace

void TinyTokenizer::write_to(GgufWriter& writer) const {
  writer.set("tokenizer.ggml.model", GgufValue::string(model));
  writer.set("tokenizer.ggml.pre", GgufValue::string(pre));
  writer.set("tokenizer.ggml.tokens", GgufValue::strings(tokens));
  writer.set("tokenizer.ggml.token_type", GgufValue::i32s(types));
  if (!scores.empty()) writer.set("tokenizer.ggml.scores", GgufValue::f32s(scores));
  if (!merges.empty()) writer.set("tokenizer.ggml.merges", GgufValue::strings(merges));
  writer.set("tokenizer.ggml.bos_token_id", GgufValue::u32(bos));
  writer.set("tokenizer.ggml.eos_token_id", GgufValue::u32(eos));
  writer.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(unknown));
  writer.set("tokenizer.ggml.padding_token_id", GgufValue::u32(padding));
  writer.set("tokenizer.ggml.add_bos_token", GgufValue::boolean(adds_bos));
  writer.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(false));
}

TinyTokenizer make_tiny_tokenizer(TinyTokenizerKind kind, std::uint32_t vocab_size, const std::string& pre) {
  SHOAL_CHECK(vocab_size >= kTinyMinVocab);
  return kind == TinyTokenizerKind::ByteLevelBpe ? make_byte_level(vocab_size, pre)
                                                 : make_sentence_piece(vocab_size);
}

}  // namespace shoal
