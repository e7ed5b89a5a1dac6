#include "text/special_tokens.h"

#include <algorithm>
#include <deque>
#include <map>

namespace shoal {
namespace {

using Written = std::vector<std::pair<std::string_view, TokenId>>;

Written written_tokens(const Vocabulary& vocabulary, bool with_control) {
  Written tokens;
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    const bool wanted =
        vocabulary.type(id) == TokenType::UserDefined || (with_control && vocabulary.is_control(id));
    if (wanted && !vocabulary.text(id).empty()) tokens.emplace_back(vocabulary.text(id), id);
  }
  return tokens;
}

// One place in the text where a token may stand.
struct Candidate {
  std::size_t at = 0;
  TokenId token = kNoToken;
};

// A token that was given its place.
struct Claim {
  std::size_t at = 0;
  std::size_t length = 0;
  TokenId token = kNoToken;
};

std::vector<Fragment> fragments_of(std::string_view text, std::vector<Claim> claims) {
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) { return a.at < b.at; });
  std::vector<Fragment> fragments;
  std::size_t at = 0;
  for (const Claim& claim : claims) {
    if (claim.at > at) fragments.push_back({text.substr(at, claim.at - at), kNoToken});
    fragments.push_back({text.substr(claim.at, claim.length), claim.token});
    at = claim.at + claim.length;
  }
  if (at < text.size()) fragments.push_back({text.substr(at), kNoToken});
  return fragments;
}

}  // namespace

SpecialTokens::Tree::Tree(Written tokens) {
  std::sort(tokens.begin(), tokens.end());
  // Each entry is a node to fill: the tokens [begin, end) share its first `depth` bytes.
  struct Work {
    std::size_t node, begin, end, depth;
  };
  nodes_.emplace_back();
  std::deque<Work> todo = {{0, 0, tokens.size(), 0}};
  for (; !todo.empty(); todo.pop_front()) {
    auto [node, begin, end, depth] = todo.front();
    if (begin < end && tokens[begin].first.size() == depth) nodes_[node].token = tokens[begin++].second;
    nodes_[node].first_child = static_cast<std::uint32_t>(nodes_.size());
    while (begin < end) {
      const char byte = tokens[begin].first[depth];
      std::size_t same = begin;
      while (same < end && tokens[same].first[depth] == byte) ++same;
      todo.push_back({nodes_.size(), begin, same, depth + 1});
      nodes_.push_back({0, 0, static_cast<std::uint8_t>(byte), kNoToken});
      ++nodes_[node].num_children;
      begin = same;
    }
  }
}

const SpecialTokens::Tree::Node* SpecialTokens::Tree::child(const Node& node, std::uint8_t byte) const {
  const Node* begin = nodes_.data() + node.first_child;
  const Node* end = begin + node.num_children;
  const Node* found =
      std::lower_bound(begin, end, byte, [](const Node& n, std::uint8_t b) { return n.byte < b; });
  return found != end && found->byte == byte ? found : nullptr;
}

SpecialTokens::Tree::Match SpecialTokens::Tree::longest(std::string_view text, std::size_t max_length) const {
  Match match;
  const Node* node = nodes_.data();
  const std::size_t limit = std::min(text.size(), max_length);
  for (std::size_t length = 0; length < limit;) {
    node = child(*node, static_cast<std::uint8_t>(text[length]));
    if (node == nullptr) break;
    ++length;
    if (node->token != kNoToken) match = {length, node->token};
  }
  return match;
}

SpecialTokens::SpecialTokens(const Vocabulary& vocabulary)
    : user_defined_(written_tokens(vocabulary, false)), all_(written_tokens(vocabulary, true)) {}

// Lengths are served from the longest down. A place whose token is cut short by a longer one's claim tries
// its next shorter token when that length's turn comes.
std::vector<Fragment> SpecialTokens::split(std::string_view text, bool parse_control) const {
  const Tree& tree = parse_control ? all_ : user_defined_;
  std::map<std::size_t, std::vector<Candidate>, std::greater<>> by_length;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const Tree::Match match = tree.longest(text.substr(at), text.size());
    if (match.length > 0) by_length[match.length].push_back({at, match.token});
  }

  std::vector<Claim> claims;
  std::vector<bool> claimed(by_length.empty() ? 0 : text.size(), false);
  for (; !by_length.empty(); by_length.erase(by_length.begin())) {
    const std::size_t length = by_length.begin()->first;
    std::vector<Candidate>& candidates = by_length.begin()->second;
    std::sort(candidates.begin(), candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.at < b.at; });
    for (const Candidate& candidate : candidates) {
      if (claimed[candidate.at]) continue;
      // Whatever is claimed is at least as long as this token: if it overlaps, it covers one of its ends.
      if (!claimed[candidate.at + length - 1]) {
        std::fill_n(claimed.begin() + static_cast<std::ptrdiff_t>(candidate.at), length, true);
        claims.push_back({candidate.at, length, candidate.token});
        continue;
      }
      const Tree::Match shorter = tree.longest(text.substr(candidate.at), length - 1);
      if (shorter.length > 0) by_length[shorter.length].push_back({candidate.at, shorter.token});
    }
  }
  return fragments_of(text, std::move(claims));
}

}  // namespace shoal
