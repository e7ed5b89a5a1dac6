#include "kernels/kv_blocks.h"

#include <iterator>

namespace shoal {

std::optional<KvType> kv_type_from(std::uint32_t number) {
  if (number >= std::size(kKvTypeNames)) return std::nullopt;
  return static_cast<KvType>(number);
}

std::optional<KvType> kv_type_named(std::string_view name) {
  for (std::uint32_t number = 0; number < std::size(kKvTypeNames); ++number)
    if (name == kKvTypeNames[number]) return kv_type_from(number);
  return std::nullopt;
}

}  // namespace shoal
