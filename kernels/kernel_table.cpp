#include "kernels/kernel_table.h"

#include <string>

#include "kernels/attention_tiles.h"
#include "kernels/native.h"
#include "kernels/scalar/kernels.h"

namespace shoal {

std::size_t attention_scratch_floats(std::size_t num_heads, std::size_t head_dim) {
  return TileScratch(nullptr, num_heads, head_dim).size();
}

const KernelTable& scalar_kernels() { return scalar::table(); }

std::vector<const KernelTable*> runnable_kernels() {
  std::vector<const KernelTable*> tables = {&scalar_kernels()};
  for (const KernelTable* native : native_kernels()) tables.push_back(native);
  return tables;
}

Result<const KernelTable*> choose_kernels(std::string_view name) {
  const std::vector<const KernelTable*> tables = runnable_kernels();
  if (name.empty() || name == "auto") return tables.back();
  std::string names = "auto";
  for (const KernelTable* table : tables) {
    if (table->name == name) return table;
    names += std::string(", ") + table->name;
  }
  return fail(ErrorCode::InvalidArgument,
              "no kernels named \"" + std::string(name) + "\" run on this machine; choose one of: " + names);
}

}  // namespace shoal
