#include "kernels/weight_type.h"

#include "base/check.h"

namespace shoal {
namespace {

struct TypeFacts {
  WeightType type;
  const char* name;
  BlockShape shape;
};

constexpr TypeFacts kTypes[] = {
    {WeightType::F32, "F32", {1, 4}},       {WeightType::F16, "F16", {1, 2}},
    {WeightType::Q4_0, "Q4_0", {32, 18}},   {WeightType::Q4_1, "Q4_1", {32, 20}},
    {WeightType::Q5_0, "Q5_0", {32, 22}},   {WeightType::Q5_1, "Q5_1", {32, 24}},
    {WeightType::Q8_0, "Q8_0", {32, 34}},   {WeightType::Q4_K, "Q4_K", {256, 144}},
    {WeightType::Q5_K, "Q5_K", {256, 176}}, {WeightType::Q6_K, "Q6_K", {256, 210}},
    {WeightType::BF16, "BF16", {1, 2}},
};

const TypeFacts& facts_of(WeightType type) {
  const TypeFacts* found = nullptr;
  for (const TypeFacts& facts : kTypes) {
    if (facts.type == type) found = &facts;
  }
  SHOAL_CHECK(found != nullptr);
  return *found;
}

}  // namespace

std::optional<WeightType> weight_type_from(std::uint32_t gguf_type) {
  for (const TypeFacts& facts : kTypes) {
    if (static_cast<std::uint32_t>(facts.type) == gguf_type) return facts.type;
  }
  return std::nullopt;
}

BlockShape block_shape(WeightType type) { return facts_of(type).shape; }

const char* name_of(WeightType type) { return facts_of(type).name; }

std::size_t gguf_row_bytes(WeightType type, std::size_t cols) {
  const BlockShape shape = block_shape(type);
  SHOAL_CHECK_OP(cols % shape.block_elements, ==, 0u);
  return cols / shape.block_elements * shape.block_bytes;
}

}  // namespace shoal
