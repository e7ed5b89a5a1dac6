#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "kernels/kernel_table.h"
#include "tests/support/random.h"

namespace shoal {
namespace {

constexpr std::size_t kReadUnit = 256;  // what every variant reads whole

TEST_CASE("every kernel variant's plain read adds up every word of the memory") {
  Random random(17);
  for (const std::size_t size : {std::size_t{0}, kReadUnit, 7 * kReadUnit, 65 * kReadUnit}) {
    std::vector<std::uint64_t> words(size / sizeof(std::uint64_t));
    std::uint64_t sum = 0;
    for (std::uint64_t& word : words) sum += word = random.next();
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(kernels->name);
      CAPTURE(size);
      CHECK(kernels->read_all(reinterpret_cast<const std::byte*>(words.data()), size) == sum);
    }
  }
}

TEST_CASE("every kernel variant counts the multiply-adds of its peak by the round") {
  for (const KernelTable* kernels : runnable_kernels()) {
    CAPTURE(kernels->name);
    const std::uint64_t one = kernels->int8_peak(1);
    CHECK(one > 0);
    CHECK(kernels->int8_peak(0) == 0);
    CHECK(kernels->int8_peak(1000) == 1000 * one);
  }
}

}  // namespace
}  // namespace shoal
