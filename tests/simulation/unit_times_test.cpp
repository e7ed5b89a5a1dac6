#include "simulation/unit_times.h"

#include <doctest/doctest.h>

#include "coordinator/plan_builder.h"
#include "model/gguf.h"
#include "simulation/expected_profile.h"
#include "simulation/model_shapes.h"
#include "tests/support/model_files.h"

namespace shoal {
namespace {

ServedModel shape(const char* name) {
  std::optional<ServedModel> model = model_of_shape(name);
  REQUIRE(model);
  return *std::move(model);
}

RowGroup group(std::uint32_t first, std::uint32_t rows, std::uint32_t flags = 0) {
  return {.sequence = SequenceId{1},
          .step = StepNumber{1},
          .first_position = first,
          .num_rows = rows,
          .flags = flags};
}

// One decode row of 1 s a layer, 2 s the head; batches and context cost something, too.
ProfileReport profile_of(const ServedModel& model) {
  ProfileReport profile{.model = model.hash, .units = {}};
  for (const std::uint32_t unit : representative_units(model)) {
    const bool is_layer = unit > 0 && unit < model.config.head_unit();
    const double one = unit == 0 ? 0.5 : is_layer ? 1.0 : 2.0;
    profile.units.push_back({unit, one, one + 31 * 0.1, is_layer ? 10.0 : 0.0});
  }
  return profile;
}

}  // namespace

TEST_CASE("a decode step takes its units' times, and the head only where something is wanted") {
  const ServedModel model = shape("smollm2-135m");
  const UnitTimes times(profile_of(model), model);
  const std::vector<RowGroup> wanted{group(0, 1, kWantsLastRow)};
  const std::vector<RowGroup> unwanted{group(0, 1)};
  CHECK(times.step_seconds({0, 1}, wanted) == doctest::Approx(0.5));
  CHECK(times.step_seconds({1, 11}, wanted) == doctest::Approx(10));
  CHECK(times.step_seconds({31, 32}, wanted) == doctest::Approx(2));
  CHECK(times.step_seconds({31, 32}, unwanted) == 0);
  CHECK(times.step_seconds({0, 32}, wanted) == doctest::Approx(32.5));
  const std::vector<RowGroup> nothing{group(0, 0, kCloses)};
  CHECK(times.step_seconds({0, 32}, nothing) == 0);
}

TEST_CASE("rows cost linearly through the two measured batches, and each its own context") {
  const ServedModel model = shape("smollm2-135m");
  const UnitTimes times(profile_of(model), model);
  const std::vector<RowGroup> chunk{group(100, 32, kWantsLastRow)};
  double attended = 0;
  for (int position = 100; position < 132; ++position) attended += position * 10.0 / 1000;
  CHECK(times.step_seconds({1, 2}, chunk) == doctest::Approx(1 + 3.1 + attended));
  CHECK(times.step_seconds({31, 32}, chunk) == doctest::Approx(2));  // one row of the prompt is wanted
  const std::vector<RowGroup> streams{group(7, 1, kWantsLastRow), group(50, 1, kWantsLastRow)};
  CHECK(times.step_seconds({1, 2}, streams) == doctest::Approx(1 + 0.1 + 0.57));
  CHECK(times.step_seconds({31, 32}, streams) == doctest::Approx(2.1));
}

TEST_CASE("a layer with a window attends to no more than the window") {
  const ServedModel model = shape("gemma3-270m");
  const UnitTimes times(profile_of(model), model);
  const std::vector<RowGroup> deep{group(1000, 1)};
  CHECK(model.config.layers[0].window == 512);
  CHECK(times.step_seconds({1, 2}, deep) == doctest::Approx(1 + 5.12));
  CHECK(model.config.layers[5].window == 0);
  CHECK(times.step_seconds({6, 7}, deep) == doctest::Approx(1 + 10));
  const std::vector<RowGroup> across{group(510, 4)};
  CHECK(times.step_seconds({1, 2}, across) == doctest::Approx(1 + 0.3 + (510 + 511 + 512 + 512) * 0.01));
}

TEST_CASE("an expected profile is bytes over bandwidth for one row and products over their rate for many") {
  const ServedModel model = shape("smollm2-135m");
  const ProfileReport profile = expected_profile({10e9, 50e9, 1e8}, model);
  REQUIRE(profile.units.size() == 3);  // the embedding, a layer, the head
  const LayerProfile& layer = profile.units[1];
  // By hand: q, k, v, o and the feed-forward's three, 5 bits a weight in Q4_1.
  const double weights = 576.0 * 576 * 2 + 576.0 * 192 * 2 + 576.0 * 1536 * 3;
  CHECK(layer.seconds_batch1 == doctest::Approx(weights * 5 / 8 / 10e9).epsilon(0.01));
  CHECK(layer.seconds_batch32 == doctest::Approx(32 * weights / 50e9).epsilon(0.01));
  // K and V of 3 heads of 64 in f16 are 768 bytes; 2 x 576 products in float.
  CHECK(layer.seconds_per_1k_context == doctest::Approx(1000 * std::max(768 / 10e9, 1152 / 12.5e9)));
  const LayerProfile& head = profile.units[2];
  CHECK(head.seconds_batch1 == doctest::Approx(576.0 * 49152 * 8.5 / 8 / 10e9).epsilon(0.01));
  CHECK(head.seconds_per_1k_context == 0);
  CHECK(profile.units[0].seconds_batch1 < 1e-6);  // one row is looked up
}

TEST_CASE("known shapes are the models they are named after") {
  CHECK(known_shapes().size() >= 5);
  CHECK_FALSE(model_of_shape("no-such-model"));
  // Parameters as the models' cards state them.
  const auto parameters = [](const ServedModel& model) {
    double sum = 0;
    for (const TensorSpec& spec : model.specs) {
      const bool counted_before = spec.role == TensorRole::Head && model.config.tied_head;
      if (!counted_before) sum += static_cast<double>(spec.rows) * static_cast<double>(spec.cols);
    }
    return sum;
  };
  CHECK(parameters(shape("smollm2-135m")) == doctest::Approx(134.5e6).epsilon(0.01));
  CHECK(parameters(shape("gemma3-270m")) == doctest::Approx(268e6).epsilon(0.01));
  CHECK(parameters(shape("llama3.2-1b")) == doctest::Approx(1.236e9).epsilon(0.01));
  CHECK(parameters(shape("llama3.2-3b")) == doctest::Approx(3.213e9).epsilon(0.01));
  CHECK(parameters(shape("qwen2.5-7b")) == doctest::Approx(7.616e9).epsilon(0.01));
}

TEST_CASE("known shapes take the bytes of the real files") {
  const std::pair<const char*, const char*> models[] = {{"smollm2-135m", kSmolLm2File},
                                                        {"gemma3-270m", kGemma3File}};
  for (const auto& [name, file_name] : models) {
    CAPTURE(name);
    const std::optional<std::string> path = real_model(file_name);
    if (!path) continue;
    const Result<GgufFile> file = GgufFile::open(*path);
    REQUIRE(file);
    const Result<ModelConfig> config = read_model_config(*file);
    REQUIRE(config);
    const ServedModel model = shape(name);
    CHECK(model.config.num_layers == config->num_layers);
    CHECK(model.config.vocab_size == config->vocab_size);
    const Range all{0, config->num_units()};
    const auto real_bytes = static_cast<double>(shard_bytes(tensor_specs(*config, *file), all));
    CHECK(static_cast<double>(shard_bytes(model.specs, all)) == doctest::Approx(real_bytes).epsilon(0.03));
  }
}

}  // namespace shoal
