#pragma once

#include <cstdint>

namespace CLI {
class Validator;
}

namespace shoal {

// What an option's number must be, for CLI::Option::check. The error says it as people write it: "5 is no
// number from 0 to 2".
CLI::Validator number_from(double least, double most);
CLI::Validator whole_number_from(std::int64_t least, std::int64_t most);
CLI::Validator any_whole_number();

}  // namespace shoal
