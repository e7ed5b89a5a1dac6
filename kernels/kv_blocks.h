#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace shoal {

// How keys and values are kept (docs/ARITHMETIC.md, "Attention"). The numbers stand in plans and exports.
enum class KvType : std::uint8_t { F16 = 0, Q8 = 1 };
inline constexpr const char* kKvTypeNames[] = {"f16", "q8"};  // by number

inline const char* name_of(KvType type) { return kKvTypeNames[static_cast<std::size_t>(type)]; }
std::optional<KvType> kv_type_from(std::uint32_t number);    // nullopt: not one we know
std::optional<KvType> kv_type_named(std::string_view name);  // the same

inline constexpr std::size_t kKvBlockPositions = 32;
inline constexpr std::size_t kKvScaleDims = 32;  // dimensions that share a scale in q8

// One KV block of one layer holds 32 positions of every KV head: its keys, then as many bytes of values.
//   f16  keys   f16 [num_kv_heads][head_dim][32]   (position is the lane)
//        values f16 [num_kv_heads][32][head_dim]
//   q8   keys   [num_kv_heads]{int8 [head_dim][32], scales f16 [scale_blocks][32]}
//        values [num_kv_heads]{int8 [32][head_dim], scales f16 [scale_blocks][32]}
struct KvShape {
  std::size_t num_kv_heads = 0;
  std::size_t head_dim = 0;
  KvType type = KvType::F16;

  // Of one head's row in q8; the last one may be short.
  constexpr std::size_t scale_blocks() const { return (head_dim + kKvScaleDims - 1) / kKvScaleDims; }
  constexpr std::size_t head_elements() const { return head_dim * kKvBlockPositions; }
  // Of one head's keys in a block, and of its values.
  constexpr std::size_t head_bytes() const {
    return type == KvType::F16 ? 2 * head_elements()
                               : head_elements() + 2 * scale_blocks() * kKvBlockPositions;
  }
  // Of all heads' keys in a block, and of their values.
  constexpr std::size_t half_bytes() const { return num_kv_heads * head_bytes(); }
  constexpr std::size_t block_bytes() const { return 2 * half_bytes(); }
  constexpr std::size_t position_bytes() const { return block_bytes() / kKvBlockPositions; }
};

}  // namespace shoal
