#include "worker/plan_check.h"

#include <optional>
#include <string>

#include "base/micro_batch.h"
#include "kernels/weight_type.h"

namespace shoal {
namespace {

bool is_float(WeightType type) {
  return type == WeightType::F32 || type == WeightType::F16 || type == WeightType::BF16;
}

}  // namespace

Result<std::vector<TensorSpec>> tensor_specs_of(const std::vector<TensorRef>& refs) {
  constexpr std::uint64_t kMostRows = std::uint64_t{1} << 28;  // panels are counted in 24 bits
  std::vector<TensorSpec> specs;
  specs.reserve(refs.size());
  for (const TensorRef& ref : refs) {
    const std::optional<WeightType> type = weight_type_from(ref.type);
    if (!type || ref.role > static_cast<std::uint8_t>(TensorRole::Head) ||
        (!ref.is_matrix && !is_float(*type))) {
      return fail(ErrorCode::Unsupported,
                  "tensor " + ref.name + " has a type or role this worker does not know: upgrade it");
    }
    if (ref.rows == 0 || ref.cols == 0 || ref.rows > kMostRows ||
        ref.cols % block_shape(*type).block_elements != 0) {
      return fail(ErrorCode::Corrupt, "tensor " + ref.name + " has an impossible shape");
    }
    specs.push_back({.role = static_cast<TensorRole>(ref.role),
                     .unit = ref.unit,
                     .file_name = ref.name,
                     .type = *type,
                     .rows = ref.rows,
                     .cols = ref.cols,
                     .is_matrix = ref.is_matrix});
  }
  return specs;
}

Status check_plan(const PlanMessage& plan, const ModelConfig& config) {
  std::uint32_t next = 0;
  for (const StageAssignment& stage : plan.stages) {
    if (stage.units.begin != next || stage.units.end <= stage.units.begin ||
        stage.units.end > config.num_units()) {
      return fail(ErrorCode::Corrupt, "the plan's stages do not follow one another over the model's " +
                                          std::to_string(config.num_units()) + " units");
    }
    next = stage.units.end;
  }
  if (!plan.stages.empty() && next != config.num_units())
    return fail(ErrorCode::Corrupt, "the plan's stages end before the head");
  if (const Result<KvBudget> kv = kv_budget_of(plan); !kv) return fail(kv.error());
  if (const Result<std::vector<TensorSpec>> specs = tensor_specs_of(plan.tensors); !specs)
    return fail(specs.error());
  return {};
}

Result<KvBudget> kv_budget_of(const PlanMessage& plan) {
  const std::optional<KvType> type = kv_type_from(plan.kv_type);
  if (!type) {
    return fail(ErrorCode::Unsupported, "the plan keeps keys and values as type " +
                                            std::to_string(plan.kv_type) +
                                            ", which this worker does not know: upgrade it");
  }
  return KvBudget{.blocks = plan.kv_blocks, .type = *type};
}

}  // namespace shoal
