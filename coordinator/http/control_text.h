#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace shoal {

// Keeps what a client wrote from acting as a control token. A chat template writes the messages' text between
// its own "<|im_end|>" and the like, and only the template's may become control tokens. So whatever in a
// message spells a control token is wrapped in two marks before the template runs, and the rendered text is
// encoded with the marked parts as plain text. Immutable: any thread.
class ControlText {
 public:
  explicit ControlText(const Tokenizer& tokenizer);

  // `text` with marks around what spells control tokens. Marks a client wrote itself become U+FFFD.
  std::string mark(std::string_view text) const;

  // The ids of a rendered text: control tokens are parsed everywhere but between marks.
  Result<std::vector<TokenId>> encode(std::string_view rendered) const;

 private:
  std::size_t spelled_at(std::string_view text,
                         std::size_t at) const;  // bytes of the longest control token there; 0: none

  const Tokenizer& tokenizer_;
  std::unordered_set<std::string> texts_;
  std::vector<std::size_t> lengths_;  // of texts_, distinct, longest first
  bool begins_[256] = {};             // first bytes of texts_
};

}  // namespace shoal
