#include "model/sha256.h"

#include <doctest/doctest.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <span>
#include <string_view>

#include "tests/support/allocation_counter.h"

namespace shoal {
namespace {

constexpr std::string_view kText = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
constexpr std::string_view kDigest = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

TEST_CASE("SHA-256 gives the digests of FIPS 180-4's examples, in one piece or many") {
  Sha256Hasher whole;
  CHECK(to_hex(whole.digest()) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  whole.add(bytes_of(kText));
  CHECK(to_hex(whole.digest()) == kDigest);
  CHECK(to_hex(sha256_of(bytes_of(kText))) == kDigest);
  Sha256Hasher pieces;
  for (std::size_t i = 0; i < kText.size(); ++i) {
    pieces.add(bytes_of(kText.substr(i, 1)));
    CHECK(pieces.digest() == sha256_of(bytes_of(kText.substr(0, i + 1))));  // asking does not end it
  }
  CHECK(to_hex(pieces.digest()) == kDigest);
}

TEST_CASE("a hash goes on from its kept state, wherever it was left, and a copy goes its own way") {
  const std::string text(200, 'x');  // past three of SHA-256's blocks of 64
  for (std::size_t cut = 0; cut <= text.size(); ++cut) {
    CAPTURE(cut);
    Sha256Hasher first;
    first.add(bytes_of(text.substr(0, cut)));
    const Sha256Hasher::State kept = first.state();
    Sha256Hasher copy = first;
    copy.add(bytes_of("another end"));
    Sha256Hasher second = Sha256Hasher::resumed(kept);
    second.add(bytes_of(text.substr(cut)));
    CHECK(second.digest() == sha256_of(bytes_of(text)));
    CHECK(copy.digest() == sha256_of(bytes_of(text.substr(0, cut) + "another end")));
    CHECK(first.state() == kept);
  }
}

TEST_CASE("a state of any bytes makes a hasher that is safe to use") {
  Sha256Hasher::State state;
  state.fill(std::byte{0xFF});
  Sha256Hasher hasher = Sha256Hasher::resumed(state);
  hasher.add(bytes_of(kText));
  CHECK(to_hex(hasher.digest()) != kDigest);
}

TEST_CASE("hashing allocates nothing") {
  const std::size_t before = num_allocations();
  Sha256Hasher hasher;
  hasher.add(bytes_of(kText));
  const Sha256 digest = hasher.digest();
  CHECK(num_allocations() == before);
  CHECK(to_hex(digest) == kDigest);
}

TEST_CASE("the digest of a file is the digest of its bytes") {
  std::string folder = (std::filesystem::temp_directory_path() / "shoal-sha256-XXXXXX").string();
  REQUIRE(::mkdtemp(folder.data()));
  const std::string path = folder + "/million";
  std::ofstream(path, std::ios::binary) << std::string(1000000, 'a');
  CHECK(to_hex(sha256_of_file(path).value()) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK(sha256_of_file(folder + "/missing").error().code() == ErrorCode::NotFound);
  CHECK(sha256_of_file(folder).error().code() == ErrorCode::Unavailable);  // opens, but cannot be read
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace shoal
