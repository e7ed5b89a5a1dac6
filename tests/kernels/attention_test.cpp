#include <Eigen/Dense>
#include <array>
#include <cmath>
#include <limits>

#include <doctest/doctest.h>

#include "base/bytes.h"
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

constexpr KvType kKvTypes[] = {KvType::F16, KvType::Q8};
struct TypeAndWindow {
  KvType type;
  std::uint32_t window;
};
constexpr TypeAndWindow kTypesAndWindows[] = {
    {KvType::F16, 0}, {KvType::F16, 45}, {KvType::Q8, 0}, {KvType::Q8, 45}};

// A sequence's KV, written by kv_store. Slots never written hold f16 NaNs (in q8 their scales do), and only
// as many blocks exist as positions need.
class Cache {
 public:
  Cache(Random& random, const Shape& shape, KvType type, std::size_t positions,
        const KernelTable& kernels = scalar_kernels())
      : shape_{shape.num_kv_heads, shape.head_dim, type} {
    const std::size_t row = shape.num_kv_heads * shape.head_dim;
    for (std::size_t p = 0; p < positions; ++p) {
      if (p % kKvBlockPositions == 0) add_block();
      rows_.push_back({random_floats(random, row), random_floats(random, row)});
      kernels.kv_store(rows_[p].k.data(), rows_[p].v.data(), shape_, p % kKvBlockPositions,
                       keys_.back().data(), values_.back().data());
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

  // What is kept, and what was to be kept.
  double key(std::size_t head, std::size_t p, std::size_t d) const {
    return kept(keys_[p / kKvBlockPositions], head, p, d, d * kKvBlockPositions + p % kKvBlockPositions);
  }
  double value(std::size_t head, std::size_t p, std::size_t d) const {
    return kept(values_[p / kKvBlockPositions], head, p, d, p % kKvBlockPositions * shape_.head_dim + d);
  }
  const float* key_row(std::size_t head, std::size_t p) const {
    return rows_[p].k.data() + head * shape_.head_dim;
  }
  const float* value_row(std::size_t head, std::size_t p) const {
    return rows_[p].v.data() + head * shape_.head_dim;
  }

  const KvShape& shape() const { return shape_; }
  const std::byte* const* key_blocks() const { return key_blocks_.data(); }
  const std::byte* const* value_blocks() const { return value_blocks_.data(); }
  const std::vector<std::vector<std::byte>>& keys() const { return keys_; }
  const std::vector<std::vector<std::byte>>& values() const { return values_; }

 private:
  struct Rows {
    std::vector<float> k;
    std::vector<float> v;
  };
  void add_block() {
    for (auto* half : {&keys_, &values_}) {
      std::vector<std::byte>& block = half->emplace_back(shape_.half_bytes());
      for (std::size_t i = 0; i < block.size(); i += 2) store(block.data() + i, std::uint16_t{0x7e01});
    }
  }
  // `at` counts the head's elements.
  double kept(const std::vector<std::byte>& half, std::size_t head, std::size_t p, std::size_t d,
              std::size_t at) const {
    const auto f16 = [](const std::byte* from) {
      return static_cast<double>(float_from_f16(load<std::uint16_t>(from)));
    };
    if (shape_.type == KvType::F16) {
      const std::size_t elements = shape_.head_dim * kKvBlockPositions;
      return f16(half.data() + 2 * (head * elements + at));
    }
    const std::size_t codes = shape_.head_dim * kKvBlockPositions;
    const std::size_t scales = (shape_.head_dim + 31) / 32 * kKvBlockPositions;
    const std::byte* begin = half.data() + head * (codes + 2 * scales);
    return f16(begin + codes + 2 * (d / 32 * kKvBlockPositions + p % kKvBlockPositions)) *
           static_cast<double>(load<std::int8_t>(begin + at));
  }

  KvShape shape_;
  std::vector<Rows> rows_;
  std::vector<std::vector<std::byte>> keys_;
  std::vector<std::vector<std::byte>> values_;
  std::vector<const std::byte*> key_blocks_;
  std::vector<const std::byte*> value_blocks_;
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
  for (const KvType type : kKvTypes) {
    for (const Shape& shape : kShapes) {
      for (const KernelTable* kernels : runnable_kernels()) {
        CAPTURE(doctest::String(kernels->name));
        CAPTURE(doctest::String(name_of(type)));
        CAPTURE(shape.head_dim);
        Random a(41);
        Random b(41);
        const Cache truth(a, shape, type, 40);
        const Cache ours(b, shape, type, 40, *kernels);
        for (std::size_t block = 0; block < 2; ++block) {
          CHECK(same_bits(ours.keys()[block], truth.keys()[block]));
          CHECK(same_bits(ours.values()[block], truth.values()[block]));
        }
      }
    }
  }
}

namespace {

// Of one head's row: what is kept lies within half a step of every value, a step being the 127th part of the
// block's greatest, give or take the scale's own rounding to f16.
template <typename Kept>
void check_within_half_a_step(const float* row, std::size_t head_dim, Kept&& kept) {
  for (std::size_t begin = 0; begin < head_dim; begin += 32) {
    const std::size_t end = std::min(begin + 32, head_dim);
    double greatest = 0;
    for (std::size_t d = begin; d < end; ++d)
      greatest = std::max(greatest, std::abs(static_cast<double>(row[d])));
    double worst = 0;
    for (std::size_t d = begin; d < end; ++d)
      worst = std::max(worst, std::abs(kept(d) - static_cast<double>(row[d])));
    CHECK(worst <= greatest * (0.5 / 127 + 0x1p-11 + 1e-6));
    CHECK(worst > 0);
  }
}

}  // namespace

TEST_CASE("q8 keeps every value within half a step of its block's scale") {
  Random random(40);
  for (const Shape& shape : kShapes) {
    CAPTURE(shape.head_dim);
    const Cache cache(random, shape, KvType::Q8, 35);
    for (std::size_t p = 0; p < 35; ++p) {
      for (std::size_t head = 0; head < shape.num_kv_heads; ++head) {
        check_within_half_a_step(cache.key_row(head, p), shape.head_dim,
                                 [&](std::size_t d) { return cache.key(head, p, d); });
        check_within_half_a_step(cache.value_row(head, p), shape.head_dim,
                                 [&](std::size_t d) { return cache.value(head, p, d); });
      }
    }
  }
}

TEST_CASE("rows that f16 cannot scale are kept as zeros or as infinities, the same everywhere") {
  const KvShape shape{1, 40, KvType::Q8};
  for (const float x : {0.0f, 0x1p-126f, 0x1p-121f, 1e-7f, 1e-5f, 8.3e6f, 8.4e6f, 3e38f,
                        std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    CAPTURE(x);
    std::vector<float> row(40, x);
    row[3] = -x;
    row[7] = 0.0f;
    std::vector<std::byte> truth_keys(shape.half_bytes()), truth_values(shape.half_bytes());
    scalar_kernels().kv_store(row.data(), row.data(), shape, 5, truth_keys.data(), truth_values.data());
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      std::vector<std::byte> keys(shape.half_bytes()), values(shape.half_bytes());
      kernels->kv_store(row.data(), row.data(), shape, 5, keys.data(), values.data());
      CHECK(same_bits(keys, truth_keys));
      CHECK(same_bits(values, truth_values));
    }
    const float scale = float_from_f16(load<std::uint16_t>(truth_keys.data() + 40 * 32 + 2 * 5));
    CHECK(std::isinf(scale) == (x > 8.35e6f));
    if (x <= 1e-7f) CHECK(scale == 0);
  }
}

TEST_CASE("a q8 block takes 34 bytes for 32 values that share a scale") {
  CHECK(KvShape{3, 64, KvType::F16}.position_bytes() == 2 * 3 * 64 * 2);
  CHECK(KvShape{3, 64, KvType::Q8}.position_bytes() == 2 * 3 * 2 * 34);
  CHECK(KvShape{1, 256, KvType::Q8}.block_bytes() == 32 * 2 * 8 * 34);
  CHECK(KvShape{3, 13, KvType::Q8}.position_bytes() == 2 * 3 * (13 + 2));
}

TEST_CASE("KV types are known by number and name, and others are not") {
  for (const KvType type : kKvTypes) {
    CHECK(kv_type_from(static_cast<std::uint32_t>(type)) == type);
    CHECK(kv_type_named(name_of(type)) == type);
  }
  CHECK(kv_type_named("q8") == KvType::Q8);
  for (const std::uint32_t number : {2u, 255u, ~0u}) CHECK_FALSE(kv_type_from(number).has_value());
  for (const char* name : {"", "Q8", "q8_0", "f16 ", "q4"}) CHECK_FALSE(kv_type_named(name).has_value());
}

TEST_CASE("every attention gives the scalar definition's bits") {
  Random random(42);
  for (const Shape& shape : kShapes) {
    for (const std::size_t positions : {1, 2, 31, 32, 33, 64, 65, 127, 200}) {
      for (const KvType type : kKvTypes) {
        const Cache cache(random, shape, type, positions);
        for (const std::uint32_t window : {0u, 1u, 20u, 64u, 70u, 150u}) {
          const Query query = {random_floats(random, shape.num_heads * shape.head_dim, 2.0f),
                               static_cast<std::uint32_t>(positions - 1), window};
          const std::vector<float> truth = attend(scalar_kernels(), shape, cache, query);
          for (const KernelTable* kernels : runnable_kernels()) {
            CAPTURE(doctest::String(kernels->name));
            CAPTURE(doctest::String(name_of(type)));
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
}

TEST_CASE("rows attended together have the scalar definition's bits, wherever they begin and end") {
  Random random(47);
  std::size_t number = 0;
  for (const Shape& shape : kShapes) {
    for (std::size_t num_rows = 1; num_rows <= 20; ++num_rows) {
      for (const std::size_t first : {0, 1, 30, 61, 64, 100, 127}) {
        if (number++ % kCaseStride != 0) continue;
        const std::uint32_t window = std::array{0u, 1u, 5u, 33u, 64u, 100u}[random.below(6)];
        const KvType type = kKvTypes[number / kCaseStride % 2];
        Cache cache(random, shape, type, first + num_rows);
        const Query query = {random_floats(random, num_rows * shape.num_heads * shape.head_dim, 2.0f),
                             static_cast<std::uint32_t>(first), window};
        const std::vector<float> truth = attend(scalar_kernels(), shape, cache, query);
        if (window != 0 && first + 1 > window) cache.release_before(first + 1 - window);
        for (const KernelTable* kernels : runnable_kernels()) {
          CAPTURE(doctest::String(kernels->name));
          CAPTURE(doctest::String(name_of(type)));
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
  const std::size_t row_size = shape.num_heads * shape.head_dim;
  for (const auto& [type, window] : kTypesAndWindows) {
    const Cache cache(random, shape, type, 50 + num_rows);
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
  const Shape shape = {6, 2, 32};
  for (const KvType type : kKvTypes) {
    Random random(43);
    const Cache cache(random, shape, type, 150);
    const Query query = {random_floats(random, 6 * 32), 70, 0};
    Random again(43);
    const Cache shorter(again, shape, type, 71);  // the same numbers, ending at the query
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      CHECK(same_bits(attend(*kernels, shape, cache, query), attend(*kernels, shape, shorter, query)));
    }
  }
}

TEST_CASE("heads attended one by one or in slices across groups give the bits of all together") {
  Random random(44);
  const Shape shape = {9, 3, 64};
  std::vector<Range> single;
  for (std::uint32_t head = 0; head < 9; ++head) single.push_back({head, head + 1});
  for (const KvType type : kKvTypes) {
    const Cache cache(random, shape, type, 130);
    const Query query = {random_floats(random, 9 * 64), 129, 100};
    for (const KernelTable* kernels : runnable_kernels()) {
      CAPTURE(doctest::String(kernels->name));
      const std::vector<float> together = attend(*kernels, shape, cache, query);
      CHECK(same_bits(attend(*kernels, shape, cache, query, {{0, 2}, {2, 7}, {7, 9}}), together));
      CHECK(same_bits(attend(*kernels, shape, cache, query, single), together));
    }
  }
}

TEST_CASE("blocks wholly behind the window may have been released") {
  Random random(45);
  const Shape shape = {4, 1, 64};
  for (const KvType type : kKvTypes) {
    for (const std::uint32_t window : {1u, 30u, 33u, 64u, 90u}) {
      Cache cache(random, shape, type, 200);
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
}

TEST_CASE("attention is softmax attention over what is kept, to f32's precision") {
  Random random(46);
  for (const Shape& shape : kShapes) {
    for (const auto& [type, window] : kTypesAndWindows) {
      const Cache cache(random, shape, type, 170);
      CAPTURE(doctest::String(name_of(type)));
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
