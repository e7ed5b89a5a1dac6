// Products alone, by kernels, weight type and number of rows: GMAC/s beside the integer units' own peak, and
// for few rows GB/s of weights beside a plain read loop over as many bytes. Every figure is the best of many
// short repetitions, the probes alternating with what they judge, so that a busy machine does not blur the
// ratios.
//
//     kernels_bench [--kernels NAME] [--type NAME] [--rows N] [--threads N] [--seconds S]
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/kernel_table.h"
#include "kernels/thread_pool.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using namespace shoal;

struct Arguments {
  std::string kernels;
  std::string type;
  std::size_t rows = 0;
  std::size_t threads = 1;
  double seconds = 0.3;  // for each line of the table
};

constexpr std::size_t kOutputs = 128;  // short repetitions: a busy machine leaves some undisturbed
constexpr std::size_t kCols = 768;
constexpr std::size_t kStreamBytes = std::size_t{256} << 20;  // more than caches keep
constexpr std::size_t kPieceBytes = std::size_t{4} << 20;     // one repetition reads this much of it
constexpr std::size_t kCachedBytes = std::size_t{256} << 10;
constexpr std::size_t kStreamingRows = 8;  // up to so many rows, reading weights is the work

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double seconds_of(const std::function<void()>& work) {
  const double begin = now();
  work();
  return now() - begin;
}

struct Free {
  void operator()(std::byte* p) const { ::operator delete[](p, std::align_val_t{64}); }
};
using AlignedBytes = std::unique_ptr<std::byte[], Free>;
AlignedBytes aligned_bytes(std::size_t size) {
  return AlignedBytes(new (std::align_val_t{64}) std::byte[size]);
}

// The integer units' peak: what one thread's registers allow, in multiply-adds a second.
#if defined(__x86_64__)

constexpr std::size_t kProbeSteps = 20000;

// Each step is `chains` instructions that depend on nothing but themselves a step ago.
__attribute__((target("avx2"))) double maddubs_probe() {
  __m256i sums[12] = {};
  const __m256i x = _mm256_set1_epi8(1);
  for (std::size_t i = 0; i < kProbeSteps; ++i) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) asm volatile("vpmaddubsw %1, %0, %0" : "+x"(sum) : "x"(x));
  }
  return 12.0 * 32 * kProbeSteps;
}

__attribute__((target("avx2"))) double dpbusd_256_probe() {
  __m256i sums[12] = {};
  const __m256i x = _mm256_set1_epi8(1);
  for (std::size_t i = 0; i < kProbeSteps; ++i) {
#pragma GCC unroll 12
    for (__m256i& sum : sums) asm volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(sum) : "x"(x));
  }
  return 12.0 * 32 * kProbeSteps;
}

__attribute__((target("avx512f"))) double dpbusd_probe() {
  __m512i sums[12] = {};
  const __m512i x = _mm512_set1_epi8(1);
  for (std::size_t i = 0; i < kProbeSteps; ++i) {
#pragma GCC unroll 12
    for (__m512i& sum : sums) asm volatile("vpdpbusd %1, %1, %0" : "+v"(sum) : "v"(x));
  }
  return 12.0 * 64 * kProbeSteps;
}

// Whole tiles, of which products with a scale for each 32 columns can fill one half.
__attribute__((target("amx-tile,amx-int8"))) double tile_probe() {
  struct alignas(64) {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16};
  } config;
  asm volatile("ldtilecfg %0" : : "m"(config));
  for (std::size_t i = 0; i < kProbeSteps; ++i) {
    asm volatile("tdpbsud %tmm5, %tmm4, %tmm0\n tdpbsud %tmm5, %tmm4, %tmm1");
    asm volatile("tdpbsud %tmm5, %tmm4, %tmm2\n tdpbsud %tmm5, %tmm4, %tmm3");
  }
  asm volatile("tilerelease");
  return 4.0 * 16 * 16 * 64 * kProbeSteps;
}

double (*probe_of(std::string_view kernels))() {
  if (kernels == "avx2") return maddubs_probe;
  if (kernels == "avxvnni") return dpbusd_256_probe;
  if (kernels == "avx512") return dpbusd_probe;
  if (kernels == "amx") return tile_probe;
  return nullptr;
}

__attribute__((target("avx2"))) std::uint64_t read_bytes(const std::byte* from, std::size_t size) {
  __m256i sums[4] = {};
  for (std::size_t i = 0; i < size; i += 128) {
    for (std::size_t k = 0; k < 4; ++k) {
      sums[k] = _mm256_xor_si256(sums[k], _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i) + k));
    }
  }
  const __m256i sum =
      _mm256_xor_si256(_mm256_xor_si256(sums[0], sums[1]), _mm256_xor_si256(sums[2], sums[3]));
  return static_cast<std::uint64_t>(_mm256_extract_epi64(sum, 0) ^ _mm256_extract_epi64(sum, 2));
}

#else

double (*probe_of(std::string_view))() { return nullptr; }

std::uint64_t read_bytes(const std::byte* from, std::size_t size) {
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < size; i += sizeof sum) {
    std::uint64_t word;
    std::memcpy(&word, from + i, sizeof word);
    sum ^= word;
  }
  return sum;
}

#endif

// Rows of x with their memory.
struct Activations {
  Activations(const KernelTable& kernels, std::size_t num_rows, std::size_t cols)
      : x(num_rows * cols), buffer(aligned_bytes(quantised_rows_bytes(num_rows, cols))) {
    std::mt19937 random(1);
    std::normal_distribution<float> normal;
    for (float& value : x) value = normal(random);
    rows = quantised_rows_in(buffer.get(), num_rows, cols, x.data());
    kernels.quantise_rows(x.data(), num_rows, rows);
  }

  std::vector<float> x;
  AlignedBytes buffer;
  QuantisedRows rows;
};

// Panels of random codes, as many bytes as asked for and a little less. Scales are made finite by leaving out
// the exponent's upper bits, for a NaN could cost time.
struct Weights {
  Weights(WeightType type, std::size_t cols, std::size_t bytes)
      : panel(panel_bytes(type, cols)), matrix{type, 0, cols} {
    const std::size_t num_panels = std::max<std::size_t>(1, bytes / panel);
    memory = aligned_bytes(num_panels * panel);
    std::mt19937_64 random(2);
    for (std::size_t i = 0; i < panel; i += 8) {
      const std::uint64_t word = random() & 0x3bff3bff3bff3bffu;
      std::memcpy(memory.get() + i, &word, 8);
    }
    for (std::size_t p = 1; p < num_panels; ++p) std::memcpy(memory.get() + p * panel, memory.get(), panel);
    matrix.rows = num_panels * kPanelRows;
    matrix.panels = memory.get();
  }

  std::size_t panel;
  AlignedBytes memory;
  PanelMatrix matrix;
};

void multiply(const KernelTable& kernels, ThreadPool& pool, const PanelMatrix& w, Range panels,
              const QuantisedRows& x, std::vector<float>& out) {
  pool.parallel_for(panels.size(), 4, [&](std::size_t begin, std::size_t end, std::size_t) {
    const Range part{panels.begin + static_cast<std::uint32_t>(begin),
                     panels.begin + static_cast<std::uint32_t>(end)};
    kernels.matmul(w, part, x, out.data() - panels.begin * kPanelRows, panels.size() * kPanelRows);
  });
}

// Many rows: weights stay in the caches.
void bench_rows(const KernelTable& kernels, ThreadPool& pool, WeightType type, std::size_t num_rows,
                double seconds) {
  const Weights w(type, kCols, kOutputs / kPanelRows * panel_bytes(type, kCols));
  const Activations x(kernels, num_rows, kCols);
  std::vector<float> out(num_rows * kOutputs);
  const auto probe = probe_of(kernels.name);
  double product = std::numeric_limits<double>::max();
  double peak = 0;
  const Range all{0, static_cast<std::uint32_t>(w.matrix.num_panels())};
  for (const double end = now() + seconds; now() < end;) {
    product = std::min(product, seconds_of([&] { multiply(kernels, pool, w.matrix, all, x.rows, out); }));
    double work = 0;
    const double time = seconds_of([&] { work = probe ? probe() : 0; });
    peak = std::max(peak, work / time);
  }
  const double rate = static_cast<double>(num_rows * kOutputs * kCols) / product;
  const double of_peak = peak > 0 ? 100 * rate / (peak * static_cast<double>(pool.num_threads())) : 0;
  std::printf("%-7s %-5s %5zu %9.1f GMAC/s %5.1f %% of peak %7.1f\n", kernels.name, name_of(type), num_rows,
              rate / 1e9, of_peak, peak / 1e9);
}

// The fastest tenth's end, not the single fastest: a piece may have lain in a cache by luck.
double fast(std::vector<double> times) {
  std::sort(times.begin(), times.end());
  return times[times.size() / 10];
}

// Few rows: weights come from memory. Beside that, how fast they would be used if they lay in a cache.
void bench_stream(const KernelTable& kernels, ThreadPool& pool, WeightType type, std::size_t num_rows,
                  double seconds) {
  const Weights w(type, kCols, kStreamBytes);
  const Activations x(kernels, num_rows, kCols);
  const auto piece = static_cast<std::uint32_t>(kPieceBytes * pool.num_threads() / w.panel);
  const auto cached = static_cast<std::uint32_t>(kCachedBytes * pool.num_threads() / w.panel);
  std::vector<float> out(num_rows * piece * kPanelRows);
  std::vector<double> products;
  std::vector<double> reads;
  double from_cache = std::numeric_limits<double>::max();
  std::uint32_t at = 0;
  const auto next = [&] {
    if (at + piece > w.matrix.num_panels()) at = 0;
    at += piece;
    return Range{at - piece, at};
  };
  volatile std::uint64_t sink = 0;
  const auto read = [&](Range panels) {
    pool.parallel_for(piece, 4, [&](std::size_t begin, std::size_t end, std::size_t) {
      sink = read_bytes(w.matrix.panels + (panels.begin + begin) * w.panel, (end - begin) * w.panel);
    });
  };
  for (const double end = now() + seconds; now() < end;) {
    products.push_back(seconds_of([&] { multiply(kernels, pool, w.matrix, next(), x.rows, out); }));
    reads.push_back(seconds_of([&] { read(next()); }));
    for (int i = 0; i < 4; ++i) {
      const Range range{0, cached};
      from_cache =
          std::min(from_cache, seconds_of([&] { multiply(kernels, pool, w.matrix, range, x.rows, out); }));
    }
  }
  const double bytes = static_cast<double>(piece * w.panel);
  const double rate = bytes / fast(products);
  const double reading = bytes / fast(reads);
  std::printf("%-7s %-5s %5zu %9.1f GB/s   %5.1f %% of reading %4.1f, %5.1f GB/s from cache\n", kernels.name,
              name_of(type), num_rows, rate / 1e9, 100 * rate / reading, reading / 1e9,
              static_cast<double>(cached * w.panel) / from_cache / 1e9);
}

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string_view name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--kernels")
      arguments.kernels = value;
    else if (name == "--type")
      arguments.type = value;
    else if (name == "--rows")
      arguments.rows = std::strtoul(value, nullptr, 10);
    else if (name == "--threads")
      arguments.threads = std::max(1ul, std::strtoul(value, nullptr, 10));
    else if (name == "--seconds")
      arguments.seconds = std::strtod(value, nullptr);
    else
      return false;
  }
  return argc % 2 == 1;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr, "usage: %s [--kernels NAME] [--type NAME] [--rows N] [--threads N] [--seconds S]\n",
                 argv[0]);
    return 2;
  }
  ThreadPool pool(arguments.threads);
  const std::vector<std::size_t> row_counts =
      arguments.rows > 0 ? std::vector{arguments.rows} : std::vector<std::size_t>{1, 2, 4, 8, 16, 64, 512};
  for (const KernelTable* kernels : runnable_kernels()) {
    if (arguments.kernels.empty() ? kernels == &scalar_kernels() : arguments.kernels != kernels->name)
      continue;
    for (const WeightType type :
         {WeightType::Q4_0, WeightType::Q4_1, WeightType::Q5_0, WeightType::Q5_1, WeightType::Q8_0,
          WeightType::Q4_K, WeightType::Q5_K, WeightType::Q6_K, WeightType::F16}) {
      if (!arguments.type.empty() && arguments.type != name_of(type)) continue;
      for (const std::size_t rows : row_counts) {
        (rows <= kStreamingRows ? bench_stream : bench_rows)(*kernels, pool, type, rows, arguments.seconds);
      }
    }
  }
}
