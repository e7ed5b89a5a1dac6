#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "text/vocabulary.h"

namespace shoal {

// A part of a text: a token that was written out in it, or plain text between such tokens.
struct Fragment {
  std::string_view text;
  TokenId token = kNoToken;  // kNoToken: plain text
};

// Finds tokens written out in a text: user-defined ones always, control ones (<|im_end|>, <bos>, <unk>) only
// where asked. Longer tokens come before shorter ones wherever they overlap, equally long ones from left to
// right. Immutable after construction: any thread.
class SpecialTokens {
 public:
  explicit SpecialTokens(const Vocabulary& vocabulary);

  // The fragments cover `text` in order; none is empty. Linear in the text, times the longest token in the
  // worst case.
  std::vector<Fragment> split(std::string_view text, bool parse_control) const;

 private:
  // A prefix tree; a node's children lie side by side, ascending by byte.
  class Tree {
   public:
    explicit Tree(std::vector<std::pair<std::string_view, TokenId>> tokens);
    struct Match {
      std::size_t length = 0;  // 0: none
      TokenId token = kNoToken;
    };
    // The longest token that `text` begins with, of at most `max_length` bytes.
    Match longest(std::string_view text, std::size_t max_length) const;

   private:
    struct Node {
      std::uint32_t first_child = 0;
      std::uint16_t num_children = 0;
      std::uint8_t byte = 0;
      TokenId token = kNoToken;
    };
    const Node* child(const Node& node, std::uint8_t byte) const;
    std::vector<Node> nodes_;  // nodes_[0] is the root
  };

  Tree user_defined_;
  Tree all_;
};

}  // namespace shoal
