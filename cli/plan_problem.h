#pragma once

#include <string>

#include "base/result.h"
#include "partition/problem.h"

namespace shoal {

// A planning problem from elsewhere, for `shoal plan --problem`: one JSON object
//   {"units": [{"name", "memory_bytes", "activation_bytes"}...],
//    "devices": [{"name", "memory_bytes", "seconds": [one per unit]}...],
//    "links": {"latency_s": [from][to], "bytes_per_s": [from][to]},
//    "source": a device's name or null, "input_bytes": N, "return_to_source": true|false, "return_bytes": N,
//    "pins": {unit's name or number: device's name}}
// The last five may be left out: null, 0, false, 0, {}. A unit's activation_bytes is what it sends on. With a
// source the input starts there and, if asked, the result returns there; without one neither crosses a link.
// A link of rate 0 or latency Infinity carries nothing; rate Infinity takes no time; seconds of Infinity: the
// device cannot run that unit. What a device's own link to itself says is not looked at.
// Latency lets the source run the first units and also the last, Throughput nobody; there the input's and the
// result's transfers count like any other.
// InvalidArgument names the place as units[3].memory_bytes: a key that is unknown, twice or missing, a value
// of another type, a negative or absurd one, names that stand twice, a list that is too short or too long.
// Pure, any thread.
Result<PlanProblem> read_plan_problem(const std::string& text, Objective objective);

}  // namespace shoal
