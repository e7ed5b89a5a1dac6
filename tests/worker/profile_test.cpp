#include "worker/profile.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>

#include "model/model_config_codec.h"
#include "tests/support/sanitized.h"
#include "tests/worker/tiny_shard.h"

namespace shoal {
namespace {

constexpr std::uint64_t kWorkingSet = 32 << 20;

ProfileRequest request_for(const TinyModel& model) {
  ProfileRequest request{.model = {}, .config = serialise(model.config()), .tensors = {}};
  request.model[0] = 77;
  for (const TensorRef& tensor : tensor_refs(model)) {
    if (tensor.unit < 2 || tensor.unit == model.config().head_unit()) request.tensors.push_back(tensor);
  }
  return request;
}

// VmHWM or VmRSS, in bytes.
std::uint64_t status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    std::uint64_t kib = 0;
    if (word == key + ":" && file >> kib) return kib << 10;
  }
  return 0;
}

}  // namespace

TEST_CASE("every representative unit is measured, in bounded time and memory") {
  TinyModelOptions options;
  options.hidden_size = 576;  // SmolLM2's shapes
  options.num_heads = 9;
  options.num_kv_heads = 3;
  options.head_dim = 64;
  options.intermediate_size = 1536;
  options.vocab_size = 49152;
  options.num_layers = 2;
  const TinyModel model{61, options};
  const ProfileRequest request = request_for(model);
  ThreadPool pool(2);
  std::ofstream("/proc/self/clear_refs") << "5";  // begins VmHWM anew
  const std::uint64_t before = status_bytes("VmRSS");
  const auto start = std::chrono::steady_clock::now();
  const Result<ProfileReport> report =
      measure_profile(request, *runnable_kernels().back(), pool, kWorkingSet);
  const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::uint64_t peak = status_bytes("VmHWM");
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  const double extra = static_cast<double>(peak - std::min(peak, before)) / 1e6;
  std::printf("  profiling took %.2f s and %.1f MB beyond what was there\n", took, extra);
  if (!kSanitized) CHECK(extra < 2.5 * kWorkingSet / 1e6);
  CHECK(took < 60);  // a second on a machine that does nothing else
  CHECK(report->model == request.model);
  CHECK(report->read_bytes_per_second > 1e7);
  REQUIRE(report->units.size() == 3);
  for (const LayerProfile& unit : report->units) {
    CAPTURE(unit.unit);
    std::printf("  unit %u: one row %.3f ms, 32 rows %.3f, 256 rows %.3f; per 1,000 positions %.4f, %.4f\n",
                unit.unit, unit.seconds_batch1 * 1e3, unit.seconds_batch32 * 1e3, unit.seconds_chunk * 1e3,
                unit.seconds_per_1k_context * 1e3, unit.chunk_seconds_per_1k_context * 1e3);
    CHECK(unit.seconds_batch1 > 0);
    CHECK(unit.seconds_batch32 > unit.seconds_batch1 * 0.5);
    CHECK(unit.seconds_per_1k_context >= 0);
    CHECK(unit.chunk_seconds_per_1k_context >= 0);
    const bool is_head = unit.unit == model.config().head_unit();
    CHECK((unit.seconds_chunk > unit.seconds_batch1) == !is_head);
  }
  CHECK(report->units[2].unit == model.config().head_unit());
  CHECK(report->units[2].seconds_batch1 >
        report->units[0].seconds_batch1);  // a matrix product against a row lookup
}

TEST_CASE("windows and several kinds of layers are measured, too") {
  const TinyModel model{61, TinyModelOptions::for_architecture(Architecture::Gemma3)};
  ProfileRequest request = request_for(model);
  ThreadPool pool(1);
  const Result<ProfileReport> report =
      measure_profile(request, *runnable_kernels().back(), pool, kWorkingSet);
  REQUIRE_MESSAGE(report.has_value(), report.error().message());
  CHECK(report->units.size() == 3);
}

TEST_CASE("a request that makes no sense is refused") {
  const TinyModel model{61};
  ThreadPool pool(1);
  const auto refused = [&](auto&& change) {
    ProfileRequest request = request_for(model);
    change(request);
    const Result<ProfileReport> report =
        measure_profile(request, *runnable_kernels().back(), pool, kWorkingSet);
    return !report && report.error().message().starts_with("profiling");
  };
  CHECK(refused([](ProfileRequest& r) { r.config.clear(); }));
  CHECK(refused([](ProfileRequest& r) { r.tensors.front().type = 500; }));
  CHECK(refused([](ProfileRequest& r) { r.tensors.front().rows = 0; }));
  CHECK(refused([](ProfileRequest& r) { r.tensors.front().unit = 900; }));
  CHECK(refused([](ProfileRequest& r) { r.tensors[1].cols = 32; }));
  CHECK(refused(
      [](ProfileRequest& r) { r.tensors.erase(r.tensors.begin() + 2); }));  // a layer without its matrix
}

}  // namespace shoal
