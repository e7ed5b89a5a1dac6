#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "base/result.h"

namespace shoal {

// A CURVE key pair, both halves in Z85 (40 characters). Source: RFC 26/CurveZMQ, RFC 32/Z85.
struct KeyPair {
  std::string public_key;
  std::string secret_key;
};

KeyPair make_key_pair();

// Reads PATH, or makes a pair and writes it there (mode 0600, directory 0700, temporary name then rename). A
// file that others may read, or that holds no valid pair, is an error that says what to do.
Result<KeyPair> load_or_make_key_pair(const std::string& path);

// "shoal1-<hub's public key><secret>": what a worker needs to join. The secret seeds the join key pair (same
// on both sides).
struct JoinToken {
  std::string hub_public_key;  // Z85
  std::array<std::uint8_t, 32> secret{};
};
std::string to_string(const JoinToken& token);
Result<JoinToken> parse_join_token(const std::string& text);
KeyPair join_key_pair(const JoinToken& token);

// Like load_or_make_key_pair, for the hub's token file.
Result<JoinToken> load_or_make_join_token(const std::string& path, const std::string& hub_public_key);

}  // namespace shoal
