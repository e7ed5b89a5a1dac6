#include "model/gguf_types.h"

#include <array>

#include "kernels/weight_type.h"

namespace shoal {
namespace {

struct KindFacts {
  const char* name;
  std::size_t size;
};
constexpr std::array<KindFacts, 13> kKinds{{{"u8", 1},
                                            {"i8", 1},
                                            {"u16", 2},
                                            {"i16", 2},
                                            {"u32", 4},
                                            {"i32", 4},
                                            {"f32", 4},
                                            {"bool", 1},
                                            {"string", 0},
                                            {"array", 0},
                                            {"u64", 8},
                                            {"i64", 8},
                                            {"f64", 8}}};

// ggml's type numbers (ggml.h, enum ggml_type); empty where a number was withdrawn.
constexpr std::array<const char*, 40> kTensorTypes{
    "F32",    "F16",   "Q4_0",  "Q4_1",   "",      "",      "Q5_0",    "Q5_1",   "Q8_0",    "Q8_1",
    "Q2_K",   "Q3_K",  "Q4_K",  "Q5_K",   "Q6_K",  "Q8_K",  "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8",    "I16",   "I32",     "I64",    "F64",     "IQ1_M",
    "BF16",   "",      "",      "",       "TQ1_0", "TQ2_0", "",        "",       "",        "MXFP4"};

const KindFacts& facts(GgufKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

}  // namespace

std::optional<GgufKind> gguf_kind_from(std::uint32_t number) {
  if (number >= kKinds.size()) return std::nullopt;
  return static_cast<GgufKind>(number);
}

const char* name_of(GgufKind kind) { return facts(kind).name; }
std::size_t fixed_size(GgufKind kind) { return facts(kind).size; }

std::string tensor_type_name(std::uint32_t gguf_type) {
  if (gguf_type < kTensorTypes.size() && *kTensorTypes[gguf_type] != '\0') return kTensorTypes[gguf_type];
  return "type " + std::to_string(gguf_type);
}

std::string supported_tensor_types() {
  std::string names;
  for (std::uint32_t number = 0; number < kTensorTypes.size(); ++number) {
    if (!weight_type_from(number)) continue;
    if (!names.empty()) names += ", ";
    names += kTensorTypes[number];
  }
  return names;
}

}  // namespace shoal
