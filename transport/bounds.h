#pragma once

#include "transport/messages.h"

namespace shoal {

// What is out of bounds in `message` ("StepFrame.ids: not one per row"), nullptr if nothing is. Every field
// is looked at: sizes, enums, ranges, text, addresses, keys, finite numbers. The same bounds hold for what we
// send and for what we are sent. Pure; allocates nothing where the message is in bounds (StepFrame and
// CandidatesFrame: never).
const char* out_of_bounds(const Message& message);

}  // namespace shoal
