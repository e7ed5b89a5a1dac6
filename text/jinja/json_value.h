#pragma once

#include <string_view>

#include "base/result.h"
#include "text/jinja/value.h"

namespace shoal::jinja {

// JSON text as a Value, the order of members kept. Numbers beyond 64 bits become floats; of equal member
// names the last counts, as in Python. InvalidArgument for text that is no JSON, or nests more than
// kMaxNesting - 10 deep (the template puts it into lists of its own).
Result<Value> value_from_json(std::string_view text);

}  // namespace shoal::jinja
