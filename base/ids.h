#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <type_traits>

namespace shoal {

// Ids that could be swapped by accident are types of their own.
enum class DeviceId : std::uint32_t {};    // given by the hub when a device's key is first admitted
enum class PipelineId : std::uint32_t {};  // a chain of stages serving one model
enum class SequenceId : std::uint64_t {};  // one request's tokens; never reused within a hub's term
enum class StepNumber : std::uint64_t {};  // per sequence, numbered by the hub, never reused
enum class Epoch : std::uint64_t {};       // hub's term in the high 32 bits, plan's version in the low

using TokenId = std::int32_t;  // as GGUF numbers them; never negative once validated

template <typename Id>
requires std::is_enum_v<Id>
constexpr auto raw(Id id) { return static_cast<std::underlying_type_t<Id>>(id); }

template <typename Id>
requires std::is_enum_v<Id>
constexpr Id next(Id id) { return static_cast<Id>(raw(id) + 1); }

constexpr Epoch make_epoch(std::uint32_t term, std::uint32_t version) {
  return static_cast<Epoch>(static_cast<std::uint64_t>(term) << 32 | version);
}
constexpr std::uint32_t term_of(Epoch epoch) { return static_cast<std::uint32_t>(raw(epoch) >> 32); }
constexpr std::uint32_t version_of(Epoch epoch) { return static_cast<std::uint32_t>(raw(epoch)); }

// "2.7": term 2, version 7.
inline std::string to_string(Epoch epoch) {
  return std::to_string(term_of(epoch)) + "." + std::to_string(version_of(epoch));
}

}  // namespace shoal
