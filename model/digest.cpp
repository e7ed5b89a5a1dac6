#include "model/digest.h"

#include <sodium.h>

#include <array>

#include "base/bytes.h"
#include "base/check.h"

namespace shoal {
namespace {

constexpr std::size_t kDigestBytes = 16;

const unsigned char* bytes_of(const void* data) { return static_cast<const unsigned char*>(data); }

}  // namespace

std::uint64_t digest_of_logits(std::span<const float> block) {
  std::array<unsigned char, kDigestBytes> hash;
  SHOAL_CHECK(crypto_generichash(hash.data(), hash.size(), bytes_of(block.data()), block.size_bytes(),
                                 nullptr, 0) == 0);
  return load<std::uint64_t>(hash.data());
}

struct LogitsDigest::State {
  crypto_generichash_state hash;
};

LogitsDigest::LogitsDigest() : state_(std::make_unique<State>()) {
  SHOAL_CHECK(crypto_generichash_init(&state_->hash, nullptr, 0, kDigestBytes) == 0);
}
LogitsDigest::~LogitsDigest() = default;
LogitsDigest::LogitsDigest(LogitsDigest&&) noexcept = default;
LogitsDigest& LogitsDigest::operator=(LogitsDigest&&) noexcept = default;

void LogitsDigest::add_row(std::span<const std::uint64_t> block_digests) {
  SHOAL_CHECK(crypto_generichash_update(&state_->hash, bytes_of(block_digests.data()),
                                        block_digests.size_bytes()) == 0);
}

std::string LogitsDigest::hex() const {
  crypto_generichash_state copy = state_->hash;
  std::array<unsigned char, kDigestBytes> hash;
  SHOAL_CHECK(crypto_generichash_final(&copy, hash.data(), hash.size()) == 0);
  std::string text;
  for (unsigned char byte : hash) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace shoal
