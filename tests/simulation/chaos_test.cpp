#include <doctest/doctest.h>

#include <cstdlib>

#include "tests/simulation/chaos.h"
#include "tests/support/sanitized.h"

namespace shoal {
namespace {

std::uint64_t env_number(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

}  // namespace

// SHOAL_LONG=1 for thousands of seeds; SHOAL_SEED=n for one.
TEST_CASE(
    "whatever happens to devices and links, every request ends once, with the whole model's answer or a "
    "reason") {
  const std::uint64_t count = kSanitized ? 40 : std::getenv("SHOAL_LONG") ? 2000 : 240;
  const std::uint64_t first = env_number("SHOAL_SEED", 1);
  const std::uint64_t last = std::getenv("SHOAL_SEED") ? first : count;
  for (const Architecture architecture :
       {Architecture::Llama, Architecture::Qwen2, Architecture::Qwen3, Architecture::Gemma3}) {
    const TinyModel model{7, TinyModelOptions::for_architecture(architecture)};
    const std::vector<JudgedRequest> pool = judged_requests(model, 3, 10);
    for (std::uint64_t seed = first; seed <= last; ++seed) {
      if (seed % 4 != static_cast<std::uint64_t>(architecture)) continue;
      const std::string broken = Chaos(model, pool, seed).run();
      CHECK_MESSAGE(broken.empty(), "seed ", seed, " (", std::string(name_of(architecture)), "): ", broken);
    }
  }
}

}  // namespace shoal
