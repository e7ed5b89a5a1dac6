#include "model/sha256.h"

#include <sodium.h>

#include <fstream>
#include <span>
#include <type_traits>
#include <vector>

namespace shoal {
namespace {

constexpr std::size_t kFileBlockBytes = 1 << 20;

using Sodium = crypto_hash_sha256_state;
static_assert(sizeof(Sodium) == sizeof(Sha256Hasher::State) && alignof(Sodium) <= 8);
static_assert(std::is_trivially_copyable_v<Sodium>);
static_assert(sizeof(Sha256) == crypto_hash_sha256_BYTES);

const unsigned char* chars(Bytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }

}  // namespace

Sha256Hasher::Sha256Hasher() {
  Sodium fresh;
  crypto_hash_sha256_init(&fresh);
  store(state_.data(), fresh);
}

Sha256Hasher Sha256Hasher::resumed(const State& state) {
  Sha256Hasher hasher;
  hasher.state_ = state;
  return hasher;
}

void Sha256Hasher::add(Bytes bytes) {
  auto state = load<Sodium>(state_.data());
  crypto_hash_sha256_update(&state, chars(bytes), bytes.size());
  store(state_.data(), state);
}

Sha256 Sha256Hasher::digest() const {
  auto state = load<Sodium>(state_.data());  // a copy: finishing spends it
  Sha256 digest;
  crypto_hash_sha256_final(&state, digest.data());
  return digest;
}

Sha256 sha256_of(Bytes bytes) {
  Sha256 digest;
  crypto_hash_sha256(digest.data(), chars(bytes), bytes.size());
  return digest;
}

Result<Sha256> sha256_of_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(ErrorCode::NotFound, path + " cannot be read");
  Sha256Hasher hash;
  std::vector<char> block(kFileBlockBytes);
  while (file) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    hash.add(std::as_bytes(std::span(block.data(), static_cast<std::size_t>(file.gcount()))));
  }
  if (!file.eof()) return fail(ErrorCode::Unavailable, "reading " + path + " stopped half way");
  return hash.digest();
}

std::string to_hex(const Sha256& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace shoal
