#pragma once

#include <cstdint>

#include "base/result.h"

namespace shoal {

// A way in from this machine to a test host: whoever connects to 127.0.0.1:`port` here talks to
// 127.0.0.1:`port` there. Prints "ready", then serves until SIGTERM or SIGINT; the process is in the host's
// network from then on. Errors: the port is taken, there is no such host.
Status serve_door(std::uint16_t port, int host);

}  // namespace shoal
