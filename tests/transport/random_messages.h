#pragma once

#include "tests/support/random.h"
#include "transport/messages.h"

namespace shoal {

inline constexpr std::size_t kNumMessageKinds = std::variant_size_v<Message>;

// A message in bounds with random contents, of the kind at this index of Message.
Message random_message(std::size_t kind, Random& random);

StepFrame random_step(Random& random, std::uint32_t num_groups, std::uint32_t num_rows,
                      std::size_t row_bytes);
CandidatesFrame random_candidates(Random& random, std::uint32_t num_rows, std::uint32_t num_blocks,
                                  std::uint32_t num_best);

}  // namespace shoal
