#include "model/digest.h"

#include <doctest/doctest.h>

#include <array>

namespace shoal {

TEST_CASE("a block's digest is BLAKE2b of its bits") {
  // python: hashlib.blake2b(struct.pack("<3f", 1, -2, 0.5), digest_size=16).digest()[:8]
  CHECK(digest_of_logits(std::array{1.0f, -2.0f, 0.5f}) == 0xB8B7400EF1B610F3ull);
  CHECK(digest_of_logits(std::array{0.0f}) != digest_of_logits(std::array{-0.0f}));
}

TEST_CASE("rows' digests join into one, whichever way the rows were cut") {
  LogitsDigest empty;
  CHECK(empty.hex() == "cae66941d9efbd404e4d88758ea67670");
  LogitsDigest rows;
  rows.add_row(std::array<std::uint64_t, 2>{1, 2});
  const std::string first = rows.hex();
  rows.add_row(std::array<std::uint64_t, 1>{3});
  CHECK(rows.hex() == "abccad42d03c940bc2b249bf5a4e1e3d");
  CHECK(rows.hex() != first);
  LogitsDigest one_by_one;
  for (std::uint64_t block : {1, 2, 3}) one_by_one.add_row({&block, 1});
  CHECK(one_by_one.hex() == rows.hex());
}

}  // namespace shoal
