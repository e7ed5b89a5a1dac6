#include "text/pre_tokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/utf8.h"

namespace shoal {
namespace {

// Unicode's White_Space, for use inside a class. The matcher's own \s also holds U+180E, a space only before
// Unicode 6.3.
#define SPACE R"(\t-\r\x20\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})"

// Runs of white space leave their last character to the word that follows.
#define TRAILING_SPACE "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"

// Radford et al. 2019 (GPT-2): contractions, words, numbers, other marks.
constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^)" SPACE R"(\p{L}\p{N}]+|)" TRAILING_SPACE;

// The shape of cl100k, which Llama 3 and Qwen2 share; they differ in how many digits go together.
#define CL100K(DIGITS)                                                                \
  R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" DIGITS R"(| ?[^)" SPACE \
  R"(\p{L}\p{N}]+[\r\n]*|[)" SPACE R"(]*[\r\n]+|)" TRAILING_SPACE

struct Recipe {
  std::string_view name;
  std::array<const char*, 4> patterns;  // in order; nullptr ends them
};

constexpr std::array<Recipe, 5> kRecipes = {{
    {"smollm", {R"(\p{N})", kGpt2}},
    {"qwen2", {CL100K(R"(\p{N})")}},
    {"llama-bpe", {CL100K(R"(\p{N}{1,3})")}},
    {"gpt-2", {kGpt2}},
    {"default", {R"([\p{P}$+<=>^~|]+)", kGpt2, R"(\p{N}+)", "[0-9][0-9][0-9]"}},
}};

struct FreePattern {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};
struct FreeMatch {
  void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
};
struct FreeLimits {
  void operator()(pcre2_match_context* limits) const { pcre2_match_context_free(limits); }
};
using Pattern = std::unique_ptr<pcre2_code, FreePattern>;

// The matcher's steps per byte of text: the patterns take a handful.
constexpr std::uint32_t kMaxStepsPerByte = 64;
constexpr std::uint32_t kMaxStepsAtLeast = 100'000;
constexpr std::uint32_t kMaxDepth = 1'000;
constexpr std::uint32_t kMaxHeapKib = 4'096;

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Result<Pattern> compile(const char* text) {
  int error = 0;
  PCRE2_SIZE at = 0;
  Pattern pattern(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text), PCRE2_ZERO_TERMINATED,
                                PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
  if (!pattern) {
    return fail(ErrorCode::Internal,
                "pre-tokenizer pattern fails at character " + std::to_string(at) + ": " + message_of(error));
  }
  // Where machine code is not to be had (the kernel forbids it, the library lacks it) the interpreter gives
  // the same pieces.
  pcre2_jit_compile(pattern.get(), PCRE2_JIT_COMPLETE);
  return pattern;
}

// What one call of split needs from the library, made once for it.
class Matcher {
 public:
  explicit Matcher(std::size_t text_bytes)
      : match_(pcre2_match_data_create(1, nullptr)), limits_(pcre2_match_context_create(nullptr)) {
    if (!limits_) return;
    const std::uint64_t steps = kMaxStepsAtLeast + std::uint64_t{text_bytes} * kMaxStepsPerByte;
    pcre2_set_match_limit(limits_.get(),
                          static_cast<std::uint32_t>(std::min<std::uint64_t>(steps, UINT32_MAX)));
    pcre2_set_depth_limit(limits_.get(), kMaxDepth);
    pcre2_set_heap_limit(limits_.get(), kMaxHeapKib);
  }
  bool ready() const { return match_ && limits_; }

  // Appends the matches in `text` (valid UTF-8) and what lies between them.
  Status cut(const Pattern& pattern, std::string_view text, std::vector<std::string_view>& pieces) {
    std::size_t at = 0;
    while (at < text.size()) {
      const int found = search(pattern, text, at);
      if (found == PCRE2_ERROR_NOMATCH) break;
      if (found < 0) return fail(ErrorCode::Internal, "cutting text into words: " + message_of(found));
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(match_.get());
      SHOAL_CHECK(bounds[0] >= at && bounds[1] > bounds[0]);
      if (bounds[0] > at) pieces.push_back(text.substr(at, bounds[0] - at));
      pieces.push_back(text.substr(bounds[0], bounds[1] - bounds[0]));
      at = bounds[1];
    }
    if (at < text.size()) pieces.push_back(text.substr(at));
    return {};
  }

 private:
  int search(const Pattern& pattern, std::string_view text, std::size_t at) {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    std::uint32_t options = PCRE2_NO_UTF_CHECK;  // `text` was walked; a check per match would be quadratic
    int found = pcre2_match(pattern.get(), subject, text.size(), at, options, match_.get(), limits_.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      options |= PCRE2_NO_JIT;
      found = pcre2_match(pattern.get(), subject, text.size(), at, options, match_.get(), limits_.get());
    }
    return found;
  }

  std::unique_ptr<pcre2_match_data, FreeMatch> match_;
  std::unique_ptr<pcre2_match_context, FreeLimits> limits_;
};

}  // namespace

struct PreTokenizer::State {
  std::vector<Pattern> patterns;

  // `scratch` and `next` keep their allocations between runs.
  Status split_run(std::string_view run, Matcher& matcher, std::vector<std::string_view>& scratch,
                   std::vector<std::string_view>& next) const {
    scratch.assign(1, run);
    for (const Pattern& pattern : patterns) {
      next.clear();
      for (const std::string_view piece : scratch) {
        if (Status cut = matcher.cut(pattern, piece, next); !cut) return cut;
      }
      scratch.swap(next);
    }
    return {};
  }
};

PreTokenizer::PreTokenizer(std::unique_ptr<State> state) : state_(std::move(state)) {}
PreTokenizer::PreTokenizer(PreTokenizer&&) noexcept = default;
PreTokenizer& PreTokenizer::operator=(PreTokenizer&&) noexcept = default;
PreTokenizer::~PreTokenizer() = default;

Result<PreTokenizer> PreTokenizer::open(std::string_view name) {
  for (const Recipe& recipe : kRecipes) {
    if (recipe.name != name) continue;
    auto state = std::make_unique<State>();
    for (const char* text : recipe.patterns) {
      if (text == nullptr) break;
      Result<Pattern> pattern = compile(text);
      if (!pattern) return fail(pattern.error().during(name));
      state->patterns.push_back(*std::move(pattern));
    }
    return PreTokenizer(std::move(state));
  }
  return fail(ErrorCode::Unsupported,
              "tokenizer.ggml.pre is \"" + std::string(name) +
                  "\", a pre-tokenizer that is not supported; supported: " + pre_tokenizer_names());
}

Status PreTokenizer::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  Matcher matcher(text.size());
  if (!matcher.ready()) return fail(ErrorCode::OutOfMemory, "no memory to cut text into words");
  std::vector<std::string_view> run_pieces;
  std::vector<std::string_view> scratch;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t run = valid_utf8_run(text, at);
    if (run == 0) {
      pieces.push_back(text.substr(at, 1));
      ++at;
      continue;
    }
    Status split_up = state_->split_run(text.substr(at, run), matcher, run_pieces, scratch);
    if (!split_up) return split_up;
    pieces.insert(pieces.end(), run_pieces.begin(), run_pieces.end());
    at += run;
  }
  return {};
}

std::string pre_tokenizer_names() {
  std::string names;
  for (const Recipe& recipe : kRecipes) {
    if (!names.empty()) names += ", ";
    names += recipe.name;
  }
  return names;
}

}  // namespace shoal
