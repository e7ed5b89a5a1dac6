#include <Eigen/Dense>
#include <array>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "kernels/half.h"
#include "tests/kernels/kernel_cases.h"
#include "tests/support/slow_run.h"

using namespace shoal;
using namespace shoal::test;

namespace {

struct Shape {
  std::size_t num_heads;
  std::size_t num_kv_heads;
  std::size_t head_dim;
};

// A sequence's KV, written by kv_store. Slots never written hold f16 NaNs, and only as many blocks exist as
// positions need.
class Cache {
 public:
  Cache(Random& random, const Shape& shape, std::size_t positions,
        const KernelTable& kernels = scalar_kernels())
      : shape_{shape.num_kv_heads, shape.head_dim} {
    const std::size_t row = shape.num_kv_heads * shape.head_dim;
    for (std::size_t p = 0; p < positions; ++p) {
      if (p % kKvBlockPositions == 0) add_block();
      const std::vector<float> k = random_floats(random, row);
      const std::vector<float> v = random_floats(random, row);
      kernels.kv_store(k.data(), v.data(), shape_, p % kKvBlockPositions, keys_.back().data(),
                       values_.back().data());
    }
    for (std::size_t b = 0; b < keys_.size(); ++b) {
      key_blocks_.push_back(keys_[b].data());
      value_blocks_.push_back(values_[b].data());
    }
  }

  // As the KV store does behind a sliding window.
  void release_before(std::size_t position) {
    for (std::size_t b = 0; (b + 1) * kKvBlockPositions <= position; ++b)
      key_blocks_[b] = value_blocks_[b] = nullptr;
  }

  double key(std::size_t head, std::size_t p, std::size_t d) const {
    const auto& block = keys_[p / kKvBlockPositions];
    return static_cast<double>(
        float_from_f16(block[(head * shape_.head_dim + d) * kKvBlockPositions + p % kKvBlockPositions]));
  }
  double value(std::size_t head, std::size_t p, std::size_t d) const {
    const auto& block = values_[p / kKvBlockPositions];
    return static_cast<double>(
        float_from_f16(block[(head * kKvBlockPositions + p % kKvBlockPositions) * shape_.head_dim + d]));
  }

  const KvShape& shape() const { return shape_; }
  const std::uint16_t* const* key_blocks() const { return key_blocks_.data(); }
  const std::uint16_t* const* value_blocks() const { return value_blocks_.data(); }
  const std::vector<std::vector<std::uint16_t>>& keys() const { return keys_; }
  const std::vector<std::vector<std::uint16_t>>& values() const { return values_; }

 private:
  void add_block() {
    keys_.emplace_back(shape_.block_elements(), std::uint16_t{0x7e01});
    values_.emplace_back(shape_.block_elements(), std::uint16_t{0x7e01});
  }

  KvShape shape_;
  std::vector<std::vector<std::uint16_t>> keys_;
  std::vector<std::vector<std::uint16_t>> values_;
  std::vector<const std::uint16_t*> key_blocks_;
  std::vector<const std::uint16_t*> value_blocks_;
};

struct Query {
  std::vector<float> q;    // of one row or several
  std::uint32_t position;  // of the first row
  std::uint32_t window;
};

std::vector<float> attend(const KernelTable& kernels, const Shape& shape, const Cache& cache,
                          const Query& query, std::vector<Range> slices = {}) {
  std::vector<float> out(query.q.size(), std::numeric_limits<float>::quiet_NaN());
  std::vector<float> scratch(attention_scratch_floats(shape.num_heads, shape.head_dim),
                             std::numeric_limits<float>::quiet_NaN());
  if (slices.empty()) slices = {Range{0, static_cast<std::uint32_t>(shape.num_heads)}};
  const AttentionRows rows = {query.q.data(),
                              out.data(),
                              cache.key_blocks(),
                              cache.value_blocks(),
                              query.position,
                              query.window,
                              query.q.size() / (shape.num_heads * shape.head_dim)};
  const float scale = 1.0f / std::sqrt(static_cast<float>(shape.head_dim));
  for (const Range heads : slices)
    kernels.attention(rows, cache.shape(), shape.num_heads, heads, scale, scratch.data());
  return out;
}

// Softmax attention in double, straight from the formula.
Eigen::VectorXd attend_f64(const Shape& shape, const Cache& cache, const Query& query, std::size_t head) {
  const std::size_t kv_head = head / (shape.num_heads / shape.num_kv_heads);
  const std::size_t end = query.position + 1;
  const std::size_t first = query.window != 0 && end > query.window ? end - query.window : 0;
  const auto n = static_cast<Eigen::Index>(end - first);
  Eigen::MatrixXd keys(n, shape.head_dim);
  Eigen::MatrixXd values(n, shape.head_dim);
  for (std::size_t p = first; p < end; ++p) {
    for (std::size_t d = 0; d < shape.head_dim; ++d) {
      keys(static_cast<Eigen::Index>(p - first), static_cast<Eigen::Index>(d)) = cache.key(kv_head, p, d);
      values(static_cast<Eigen::Index>(p - first), static_cast<Eigen::Index>(d)) = cache.value(kv_head, p, d);
    }
  }
  const auto q = Eigen::Map<const Eigen::VectorXf>(query.q.data() + head * shape.head_dim,
                                                   static_cast<Eigen::Index>(shape.head_dim));
  const Eigen::VectorXd z = keys * q.cast<double>() / std::sqrt(static_cast<double>(shape.head_dim));
  const Eigen::VectorXd p = (z.array() - z.maxCoeff()).exp();
  return values.transpose() * p / p.sum();
}

// Groups of 1 to 8 heads.
constexpr Shape kShapes[] = {{9, 3, 64}, {4, 1, 256}, {2, 2, 16}, {5, 1, 80}, {12, 2, 128},
                             {7, 1, 24}, {3, 3, 13},  {8, 1, 64}, {4, 2, 80}, {2, 2, 64}};

}  // namespace

TEST_CASE("every kv_store writes the scalar definition's bits") {
  for (const Shape& shape : kShapes) {
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(shape.head_dim);
      Random a(41);
      Random b(41);
      const Cache truth(a, shape, 40);
      const Cache ours(b, shape, 40, *kernels);
      for (std::size_t block = 0; block < 2; ++block) {
        CHECK(same_bits(ours.keys()[block], truth.keys()[block]));
        CHECK(same_bits(ours.values()[block], truth.values()[block]));
      }
    }
  }
}

TEST_CASE("every attention gives the scalar definition's bits") {
  Random random(42);
  for (const Shape& shape : kShapes) {
    for (const std::size_t positions : {1, 2, 31, 32, 33, 64, 65, 127, 200}) {
      const Cache cache(random, shape, positions);
      for (const std::uint32_t window : {0u, 1u, 20u, 64u, 70u, 150u}) {
        const Query query = {random_floats(random, shape.num_heads * shape.head_dim, 2.0f),
                             static_cast<std::uint32_t>(positions - 1), window};
        const std::vector<float> truth = attend(scalar_kernels(), shape, cache, query);
        for (const KernelTable* kernels : runnable_kernels()) {
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(shape.num_heads);
          CAPTURE(shape.head_dim);
          CAPTURE(positions);
          CAPTURE(window);
          CHECK(same_bits(attend(*kernels, shape, cache, query), truth));
        }
      }
    }
  }
}

TEST_CASE("rows attended together have the scalar definition's bits, wherever they begin and end") {
  Random random(47);
  std::size_t number = 0;
  for (const Shape& shape : kShapes) {
    for (std::size_t num_rows = 1; num_rows <= 20; ++num_rows) {
      for (const std::size_t first : {0, 1, 30, 61, 64, 100, 127}) {
        if (number++ % kCaseStride != 0) continue;
        const std::uint32_t window = std::array{0u, 1u, 5u, 33u, 64u, 100u}[random.below(6)];
        Cache cache(random, shape, first + num_rows);
        const Query query = {random_floats(random, num_rows * shape.num_heads * shape.head_dim, 2.0f),
                             static_cast<std::uint32_t>(first), window};
        const std::vector<float> truth = attend(scalar_kernels(), shape, cache, query);
        if (window != 0 && first + 1 > window) cache.release_before(first + 1 - window);
        for (const KernelTable* kernels : runnable_kernels()) {
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(shape.num_heads);
          CAPTURE(shape.head_dim);
          CAPTURE(num_rows);
          CAPTURE(first);
          CAPTURE(window);
          CHECK(same_bits(attend(*kernels, shape, cache, query), truth));
        }
      }
    }
  }
}

TEST_CASE("rows past one tile have the bits of each row alone") {
  Random random(48);
  const Shape shape = {6, 2, 40};
  const std::size_t num_rows = 2 * kAttentionTileRows + 7;
  const Cache cache(random, shape, 50 + num_rows);
  const std::size_t row_size = shape.num_heads * shape.head_dim;
  for (const std::uint32_t window : {0u, 45u}) {
    const Query query = {random_floats(random, num_rows * row_size, 2.0f), 50, window};
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      const std::vector<float> together = attend(*kernels, shape, cache, query);
      for (std::size_t row = 0; row < num_rows; ++row) {
        const auto q = query.q.begin() + static_cast<std::ptrdiff_t>(row * row_size);
        const Query one = {
            {q, q + static_cast<std::ptrdiff_t>(row_size)}, static_cast<std::uint32_t>(50 + row), window};
        const auto ours = together.begin() + static_cast<std::ptrdiff_t>(row * row_size);
        CAPTURE(row);
        CHECK(same_bits(attend(scalar_kernels(), shape, cache, one),
                        {ours, ours + static_cast<std::ptrdiff_t>(row_size)}));
      }
    }
  }
}

TEST_CASE("a query in the middle of a sequence sees nothing after itself") {
  Random random(43);
  const Shape shape = {6, 2, 32};
  const Cache cache(random, shape, 150);
  const Query query = {random_floats(random, 6 * 32), 70, 0};
  for (const KernelTable* kernels : runnable_kernels()) {
    CAPTURE(doctest::String(kernels->name));
    Random again(43);
    const Cache shorter(again, shape, 71);  // the same numbers, ending at the query
    CHECK(same_bits(attend(*kernels, shape, cache, query), attend(*kernels, shape, shorter, query)));
  }
}

TEST_CASE("heads attended one by one or in slices across groups give the bits of all together") {
  Random random(44);
  const Shape shape = {9, 3, 64};
  const Cache cache(random, shape, 130);
  const Query query = {random_floats(random, 9 * 64), 129, 100};
  for (const KernelTable* kernels : runnable_kernels()) {
    CAPTURE(doctest::String(kernels->name));
    const std::vector<float> together = attend(*kernels, shape, cache, query);
    CHECK(same_bits(attend(*kernels, shape, cache, query, {{0, 2}, {2, 7}, {7, 9}}), together));
    std::vector<Range> single;
    for (std::uint32_t head = 0; head < 9; ++head) single.push_back({head, head + 1});
    CHECK(same_bits(attend(*kernels, shape, cache, query, single), together));
  }
}

TEST_CASE("blocks wholly behind the window may have been released") {
  Random random(45);
  const Shape shape = {4, 1, 64};
  for (const std::uint32_t window : {1u, 30u, 33u, 64u, 90u}) {
    Cache cache(random, shape, 200);
    const Query query = {random_floats(random, 4 * 64), 199, window};
    const std::vector<float> truth = attend(scalar_kernels(), shape, cache, query);
    cache.release_before(200 - window);
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CAPTURE(window);
      CHECK(same_bits(attend(*kernels, shape, cache, query), truth));
    }
  }
}

TEST_CASE("attention is softmax attention, to f32's precision") {
  Random random(46);
  for (const Shape& shape : kShapes) {
    const Cache cache(random, shape, 170);
    for (const std::uint32_t window : {0u, 75u}) {
      CAPTURE(shape.head_dim);
      CAPTURE(window);
      const Query query = {random_floats(random, shape.num_heads * shape.head_dim, 2.0f), 169, window};
      const std::vector<float> out = attend(scalar_kernels(), shape, cache, query);
      for (std::size_t head = 0; head < shape.num_heads; ++head) {
        const Eigen::VectorXd truth = attend_f64(shape, cache, query, head);
        const auto ours = Eigen::Map<const Eigen::VectorXf>(out.data() + head * shape.head_dim, truth.size());
        CHECK((ours.cast<double>() - truth).norm() <= 3e-6 * truth.norm());
      }
    }
  }
}
