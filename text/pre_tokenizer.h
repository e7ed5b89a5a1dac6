#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoal {

// Cuts a text into the pieces within which byte-level BPE may merge. A pre-tokenizer is one or more patterns:
// each cuts the pieces that the one before it left, and what lies between two matches is a piece too. The
// pieces cover the text in order. Time is linear in the text: every pattern is, and a limit on the matcher's
// steps holds it to that. Immutable after open: any thread.
class PreTokenizer {
 public:
  // By tokenizer.ggml.pre: smollm, qwen2, llama-bpe, gpt-2, default. Another name is Unsupported and lists
  // these.
  static Result<PreTokenizer> open(std::string_view name);
  PreTokenizer(PreTokenizer&&) noexcept;
  PreTokenizer& operator=(PreTokenizer&&) noexcept;
  ~PreTokenizer();

  // Appends the pieces of `text`, views into it. A byte that is no UTF-8 is a piece of its own, and the runs
  // around it are cut as texts of their own. Internal if the matcher fails or meets a limit.
  Status split(std::string_view text, std::vector<std::string_view>& pieces) const;

 private:
  struct State;
  explicit PreTokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// "smollm, qwen2, ..."
std::string pre_tokenizer_names();

}  // namespace shoal
