#include "worker/plan_check.h"

#include <doctest/doctest.h>

#include "tests/worker/tiny_shard.h"

namespace shoal {

TEST_CASE("a plan's tensors are believed only with possible types, roles and shapes") {
  const TinyModel model{3};
  const std::vector<TensorRef> good = tensor_refs(model);
  const Result<std::vector<TensorSpec>> specs = tensor_specs_of(good);
  REQUIRE(specs);
  REQUIRE(specs->size() == model.specs().size());
  for (std::size_t i = 0; i < specs->size(); ++i) {
    CHECK((*specs)[i].file_name == model.specs()[i].file_name);
    CHECK((*specs)[i].role == model.specs()[i].role);
    CHECK((*specs)[i].type == model.specs()[i].type);
  }
  const auto code_of = [&](auto&& change) {
    std::vector<TensorRef> refs = good;
    change(refs.front());
    return tensor_specs_of(refs).error().code();
  };
  CHECK(code_of([](TensorRef& t) { t.type = 999; }) == ErrorCode::Unsupported);
  CHECK(code_of([](TensorRef& t) { t.role = 200; }) == ErrorCode::Unsupported);
  CHECK(code_of([](TensorRef& t) { t.is_matrix = false; }) == ErrorCode::Unsupported);  // a quantised vector
  CHECK(code_of([](TensorRef& t) { t.rows = 0; }) == ErrorCode::Corrupt);
  CHECK(code_of([](TensorRef& t) { t.cols = 0; }) == ErrorCode::Corrupt);
  CHECK(code_of([](TensorRef& t) { t.cols = 33; }) == ErrorCode::Corrupt);
  CHECK(code_of([](TensorRef& t) { t.rows = 1ull << 40; }) == ErrorCode::Corrupt);
}

TEST_CASE("a plan's stages must follow one another from the embedding to the head") {
  const TinyModel model{3};
  const PlanMessage good = plan_for(model, Epoch{1}, {3}, {DeviceId{1}, DeviceId{2}});
  CHECK(check_plan(good, model.config()).has_value());
  const auto refused = [&](auto&& change) {
    PlanMessage plan = good;
    change(plan.stages);
    return !check_plan(plan, model.config());
  };
  CHECK(refused([](auto& stages) { stages[1].units.begin = 4; }));
  CHECK(refused([](auto& stages) { stages[0].units.begin = 1; }));
  CHECK(refused([](auto& stages) { stages[1].units.end += 1; }));
  CHECK(refused([](auto& stages) { stages.pop_back(); }));
  CHECK(refused([](auto& stages) { stages.insert(stages.begin() + 1, {DeviceId{3}, {3, 3}, {}}); }));
  CHECK_FALSE(refused([](auto& stages) { stages.clear(); }));  // left out of it
}

TEST_CASE("a plan that keeps keys and values in a way this worker does not know is refused") {
  const TinyModel model{3};
  PlanMessage plan = plan_for(model, Epoch{1}, {3}, {DeviceId{1}, DeviceId{2}});
  for (const KvType type : {KvType::F16, KvType::Q8}) {
    plan.kv_type = static_cast<std::uint8_t>(type);
    CHECK(check_plan(plan, model.config()));
    CHECK(*kv_budget_of(plan) == KvBudget{plan.kv_blocks, type});
  }
  for (const std::uint8_t number : {std::uint8_t{2}, std::uint8_t{255}}) {
    plan.kv_type = number;
    const Status checked = check_plan(plan, model.config());
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code() == ErrorCode::Unsupported);
    CHECK(checked.error().message().find("type " + std::to_string(number)) != std::string::npos);
    CHECK(checked.error().message().find("upgrade") != std::string::npos);
    CHECK_FALSE(kv_budget_of(plan));
  }
}

}  // namespace shoal
