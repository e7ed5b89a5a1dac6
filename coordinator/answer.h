#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "text/tokenizer.h"

namespace shoal {

// What the scheduler needs to know of a tokenizer; a simulator without one gives its own.
struct TokenText {
  std::function<std::string_view(TokenId)> piece;  // a token's bytes, "" for control tokens
  std::function<bool(TokenId)> is_end_of_text;
};
TokenText token_text_of(const Tokenizer& tokenizer);  // which must outlive it

// The answer's text as it may be shown: whole characters, and nothing that could be the beginning of a stop
// string. Stop strings may straddle tokens; the text ends before the first one that is complete.
class AnswerText {
 public:
  explicit AnswerText(std::vector<std::string> stop) : stop_(std::move(stop)) {}

  // What can be shown now. After a stop string was completed, stopped() holds and nothing more comes.
  std::string push(std::string_view piece);
  std::string flush();  // at the end of the answer: whatever still waits
  bool stopped() const { return stopped_; }

 private:
  std::string release();

  std::vector<std::string> stop_;
  TextStream characters_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace shoal
