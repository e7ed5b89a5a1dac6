#include <doctest/doctest.h>

#include "kernels/thread_pool.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support/allocation_counter.h"

using namespace shoal;
using namespace shoal::test;

TEST_CASE("the allocation counter counts") {
  const std::size_t before = num_allocations();
  const auto kept = std::make_unique<int>(3);
  CHECK(num_allocations() == before + 1);
  CHECK(*kept == 3);
}

TEST_CASE("no kernel allocates") {
  Random random(71);
  constexpr std::size_t kCols = 256;
  constexpr std::size_t kRows = 25;  // whole tiles of rows, whole vectors and a rest
  Activations x(random_floats(random, kRows * kCols), kRows, kCols);
  std::vector<float> out(kRows * 40);
  std::vector<float> row = random_floats(random, kCols);
  std::vector<std::byte> block(KvShape{.num_kv_heads = 1, .head_dim = 64}.block_bytes());
  std::vector<float> scratch(attention_scratch_floats(4, 64));
  std::vector<PackedMatrix> matrices;
  for (const WeightType type : kAllTypes) matrices.emplace_back(random, type, 40, kCols);

  for (const KernelTable* kernels : runnable_kernels()) {
    CAPTURE(doctest::String(kernels->name));
    const std::size_t before = num_allocations();
    kernels->quantise_rows(x.x.data(), kRows, x.rows);
    for (const PackedMatrix& w : matrices) kernels->matmul(w.view(), {0, 3}, x.rows, out.data(), 40);
    kernels->rms_norm(row.data(), x.x.data(), row.data(), 1, kCols, 1e-5f);
    kernels->silu_mul(row.data(), x.x.data(), row.data(), kCols);
    kernels->gelu_mul(row.data(), x.x.data(), row.data(), kCols);
    kernels->add(row.data(), x.x.data(), kCols);
    kernels->scale(row.data(), 0.5f, kCols);
    kernels->rope(row.data(), 4, 64, 64, x.x.data(), x.x.data() + 64, false);
    for (const KvType type : {KvType::F16, KvType::Q8}) {
      const KvShape shape = {.num_kv_heads = 1, .head_dim = 64, .type = type};
      const std::byte* keys[] = {block.data()};
      const std::byte* values[] = {block.data() + shape.half_bytes()};
      kernels->kv_store(row.data(), row.data() + 64, shape, 0, block.data(),
                        block.data() + shape.half_bytes());
      kernels->attention({row.data(), out.data(), keys, values, 0, 0}, shape, 4, {0, 4}, 0.1f,
                         scratch.data());
    }
    kernels->max_sum(row.data(), kCols);
    kernels->gumbel(1, 2, 0, row.data(), kCols);
    const std::size_t after = num_allocations();
    CHECK(after == before);
  }
}

TEST_CASE("a parallel_for allocates nothing") {
  ThreadPool pool(3);
  std::vector<int> marks(1000);
  const auto mark_all = [&] {
    pool.parallel_for(marks.size(), 4, [&](std::size_t begin, std::size_t end, std::size_t) {
      for (std::size_t i = begin; i < end; ++i) ++marks[i];
    });
  };
  mark_all();
  const std::size_t before = num_allocations();
  for (int i = 0; i < 100; ++i) mark_all();
  const std::size_t after = num_allocations();
  CHECK(after == before);
  CHECK(marks[500] == 101);
}
