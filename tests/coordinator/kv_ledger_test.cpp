#include "coordinator/kv_ledger.h"

#include <doctest/doctest.h>

namespace shoal {

TEST_CASE("the ledger raises all kinds or none, and takes back what it gave") {
  KvLedger ledger;
  ledger.reset({{10, 3}});
  std::vector<std::uint32_t> a;
  std::vector<std::uint32_t> b;
  CHECK(ledger.raise(a, {4, 2}));
  CHECK(ledger.free_blocks() == std::vector<std::uint32_t>{6, 1});
  CHECK_FALSE(ledger.raise(b, {5, 2}));  // the second kind is short
  CHECK(ledger.free_blocks() == std::vector<std::uint32_t>{6, 1});
  CHECK(ledger.raise(b, {6, 1}));
  CHECK(ledger.raise(a, {3, 1}));  // never lowered
  CHECK(a == std::vector<std::uint32_t>{4, 2});
  ledger.give_back(a);
  ledger.give_back(b);
  ledger.give_back(b);
  CHECK(ledger.free_blocks() == std::vector<std::uint32_t>{10, 3});
}

TEST_CASE("what a sequence may need on its way is no less than any shorter one needs") {
  for (const std::uint32_t window : {0u, 1u, 8u, 33u, 100u, 512u}) {
    const KvKind kind{window, {0}};
    for (const std::uint32_t chunk : {1u, 7u, 16u, 64u, 512u}) {
      std::uint32_t most = 0;
      for (std::uint32_t length = 1; length <= 700; ++length) {
        most = std::max(most, kv_blocks_needed(kind, length, chunk));
        CHECK(most_kv_blocks_until(kind, length, chunk) == most);
      }
    }
  }
}

}  // namespace shoal
