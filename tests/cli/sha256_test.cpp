#include "cli/sha256.h"

#include <doctest/doctest.h>

#include "tests/cli/scratch.h"

namespace shoal {
namespace {

TEST_CASE("SHA-256 gives the digests of FIPS 180-4's examples, in one piece or many") {
  const std::string text = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  const std::string digest = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
  Sha256Stream whole;
  CHECK(whole.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  whole.add(std::as_bytes(std::span(text.data(), text.size())));
  CHECK(whole.hex() == digest);
  Sha256Stream pieces;
  for (const char& c : text) {
    pieces.add(std::as_bytes(std::span(&c, 1)));
    CHECK(pieces.hex().size() == 64);  // asking does not end it
  }
  CHECK(pieces.hex() == digest);
}

TEST_CASE("the digest of a file is the digest of its bytes") {
  const ScratchFolder scratch;
  const std::string path = scratch.write("million", std::string(1000000, 'a'));
  CHECK(sha256_of_file(path).value() == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  CHECK_FALSE(sha256_of_file(scratch.file("missing")));
}

}  // namespace
}  // namespace shoal
