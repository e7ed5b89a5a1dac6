#include "worker/emulated_speed.h"

#include <doctest/doctest.h>

#include <chrono>

#include "model/model_config_codec.h"
#include "tests/worker/tiny_shard.h"
#include "worker/profile.h"

namespace shoal {
namespace {

double seconds_asleep(const EmulatedSpeed& speed, double worked, double& in_all) {
  const auto begin = std::chrono::steady_clock::now();
  in_all = speed.make_up_for(worked);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace

TEST_CASE("a slower device's work takes as much longer as it is slower, asleep") {
  double in_all = 0;
  const double asleep = seconds_asleep(EmulatedSpeed(0.25), 0.02, in_all);
  CHECK(in_all == doctest::Approx(0.08));
  CHECK(asleep >= 0.0599);
  CHECK(asleep < 0.5);
  // Short work is not drowned in the timer's slack; the best of some, as the machine may be busy.
  double least = 1;
  for (int i = 0; i < 20; ++i) least = std::min(least, seconds_asleep(EmulatedSpeed(0.5), 100e-6, in_all));
  CHECK(least >= 100e-6);
  CHECK(least < 180e-6);
}

TEST_CASE("this device itself never sleeps") {
  double in_all = 0;
  CHECK(seconds_asleep(EmulatedSpeed(1), 10.0, in_all) < 1);
  CHECK(in_all == 10.0);
}

TEST_CASE("a slower device measures itself as one") {
  CHECK(EmulatedSpeed(0.2).of_rate(8e9) == doctest::Approx(1.6e9));
  TinyModelOptions options;  // of which a step takes longer than what a busy machine adds to it
  options.hidden_size = 512;
  options.num_heads = 8;
  options.head_dim = 64;
  options.intermediate_size = 1536;
  const TinyModel model{61, options};
  ProfileRequest request{.model = {}, .config = serialise(model.config()), .tensors = {}};
  for (const TensorRef& tensor : tensor_refs(model)) {
    if (tensor.unit == 1) request.tensors.push_back(tensor);
  }
  ThreadPool pool(1);
  const Result<ProfileReport> itself = measure_profile(request, *runnable_kernels().back(), pool);
  const Result<ProfileReport> slower =
      measure_profile(request, *runnable_kernels().back(), pool, EmulatedSpeed(0.1));
  REQUIRE(itself);
  REQUIRE(slower);
  CHECK(slower->units[0].seconds_batch1 > 5 * itself->units[0].seconds_batch1);
  CHECK(slower->units[0].seconds_batch32 > 5 * itself->units[0].seconds_batch32);
}

}  // namespace shoal
