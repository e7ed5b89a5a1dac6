#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace shoal {

// A hash of the bits of one block of logits (at most 1,024 of one row). Equal hashes mean equal bits.
// Source: BLAKE2b (RFC 7693), first 8 bytes.
std::uint64_t digest_of_logits(std::span<const float> block);

// Joins block digests, row after row and in each row block after block, into one digest of every logit's
// bits. Where the head was split, or by how many it was held, does not show.
class LogitsDigest {
 public:
  LogitsDigest();
  ~LogitsDigest();
  LogitsDigest(LogitsDigest&&) noexcept;
  LogitsDigest& operator=(LogitsDigest&&) noexcept;

  void add_row(std::span<const std::uint64_t> block_digests);
  std::string hex() const;  // 32 hexadecimal digits, of all rows so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shoal
