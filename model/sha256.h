#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "base/sha256_digest.h"

namespace shoal {

// SHA-256 of bytes as they come (FIPS 180-4). Copies go on independently; nothing is allocated. One thread.
class Sha256Hasher {
 public:
  // How far it came, to be kept and gone on from, by a later process on the same device too. Any bytes of
  // this size make a hasher that is safe to use; whether they are the right ones is the keeper's to check.
  using State = std::array<std::byte, 104>;

  Sha256Hasher();
  static Sha256Hasher resumed(const State& state);

  void add(Bytes bytes);
  Sha256 digest() const;  // of all bytes so far; more may follow
  const State& state() const { return state_; }

 private:
  alignas(8) State state_;  // libsodium's, whose header stays out of ours
};

Sha256 sha256_of(Bytes bytes);

// Reads the whole file. NotFound where there is none to read, Unavailable where reading stops half way.
Result<Sha256> sha256_of_file(const std::string& path);

// 64 lower-case digits.
std::string to_hex(const Sha256& digest);

}  // namespace shoal
