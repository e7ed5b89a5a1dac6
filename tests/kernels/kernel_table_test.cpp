#include <string>

#include <doctest/doctest.h>

#include "tests/kernels/kernel_cases.h"

using namespace shoal;
using namespace shoal::test;

TEST_CASE("the scalar kernels always run, and auto is the last of what runs") {
  const std::vector<const KernelTable*> tables = runnable_kernels();
  REQUIRE_FALSE(tables.empty());
  CHECK(tables.front() == &scalar_kernels());
  CHECK(*choose_kernels("") == tables.back());
  CHECK(*choose_kernels("auto") == tables.back());
  for (const KernelTable* table : tables) CHECK(*choose_kernels(table->name) == table);
}

TEST_CASE("an unknown kernel name is refused with the names that run here") {
  const Result<const KernelTable*> chosen = choose_kernels("sse9");
  REQUIRE_FALSE(chosen.has_value());
  CHECK(chosen.error().code() == ErrorCode::InvalidArgument);
  CHECK(chosen.error().message().find("sse9") != std::string::npos);
  CHECK(chosen.error().message().find("scalar") != std::string::npos);
}

TEST_CASE("every kernel table has the scalar digest") {
  const std::uint64_t truth = arithmetic_digest(scalar_kernels());
  for (const KernelTable* kernels : runnable_kernels()) {
    CAPTURE(doctest::String(kernels->name));
    CHECK(arithmetic_digest(*kernels) == truth);
  }
}

TEST_CASE("the digest of arithmetic version 1 is the number every device has agreed on") {
  static_assert(kArithmeticVersion == 1 && kPanelLayoutVersion == 1);
  CHECK(arithmetic_digest(scalar_kernels()) == 9831907685885593432u);
}

TEST_CASE("the digest sees a changed bit in any operation") {
  const std::uint64_t truth = arithmetic_digest(scalar_kernels());
  KernelTable changed = scalar_kernels();
  changed.max_sum = [](const float* x, std::size_t n) {
    MaxSum result = scalar_kernels().max_sum(x, n);
    result.sum = result.sum * (1.0f + 0x1p-23f);
    return result;
  };
  CHECK(arithmetic_digest(changed) != truth);
  changed = scalar_kernels();
  changed.matmul = [](const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out,
                      std::size_t stride) {
    scalar_kernels().matmul(w, panels, x, out, stride);
    out[0] += out[0] * 0x1p-23f;
  };
  CHECK(arithmetic_digest(changed) != truth);
}

TEST_CASE("the digest sees a bit that changes only where keys and values are kept in q8") {
  KernelTable changed = scalar_kernels();
  changed.attention = [](const AttentionRows& rows, const KvShape& shape, std::size_t num_heads, Range heads,
                         float scale, float* scratch) {
    scalar_kernels().attention(rows, shape, num_heads, heads, scale, scratch);
    if (shape.type == KvType::Q8) rows.out[0] += rows.out[0] * 0x1p-23f;
  };
  CHECK(arithmetic_digest(changed) != arithmetic_digest(scalar_kernels()));
}

TEST_CASE("the digest sees a bit that changes only where many rows are multiplied at once") {
  KernelTable changed = scalar_kernels();
  changed.matmul = [](const PanelMatrix& w, Range panels, const QuantisedRows& x, float* out,
                      std::size_t stride) {
    scalar_kernels().matmul(w, panels, x, out, stride);
    for (std::size_t row = 0; row < x.num_rows / 16 * 16; ++row)
      out[row * stride] += out[row * stride] * 0x1p-23f;
  };
  CHECK(arithmetic_digest(changed) != arithmetic_digest(scalar_kernels()));
}

TEST_CASE("quantised rows lie apart, each part on a cache line") {
  AlignedBytes buffer(quantised_rows_bytes(3, 70));
  const QuantisedRows rows = quantised_rows_in(buffer.data(), 3, 70, nullptr);
  CHECK(rows.num_blocks() == 3);
  const auto offset = [&](const void* p) {
    return static_cast<std::size_t>(static_cast<const std::byte*>(p) - buffer.data());
  };
  CHECK(offset(rows.values) == 0);
  CHECK(offset(rows.scales) >= 3 * 96);
  CHECK(offset(rows.scaled_sums) >= offset(rows.scales) + 9 * 4);
  CHECK(offset(rows.half_sums) >= offset(rows.scaled_sums) + 9 * 4);
  CHECK(buffer.size() >= offset(rows.half_sums) + 18 * 4);
  for (const std::size_t at : {offset(rows.scales), offset(rows.scaled_sums), offset(rows.half_sums)})
    CHECK(at % 64 == 0);
}
