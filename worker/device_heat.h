#pragma once

#include <string>

#include "transport/messages.h"

namespace shoal {

// Whether the device is slowed down by heat or poor power, as far as the system tells (`root` is "/sys" but
// in tests): the hottest thermal zone; the clock that the governor may use now beside the greatest there is;
// whether the kernel cools the processor, or a Raspberry Pi's firmware slows it down. A few small files:
// quick enough for the reactor, every few seconds.
Heat read_heat(const std::string& root);

}  // namespace shoal
