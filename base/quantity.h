#pragma once

#include <optional>
#include <string_view>

namespace shoal {

// Times and rates as people write them, in configs and on command lines. A number and its unit, nothing else;
// nothing where the text is anything but that, or the value is negative or no finite number.

// "150us", "2ms", "1.5s", "10min", "2h" -> seconds.
std::optional<double> parse_seconds(std::string_view text);

// "250kbit", "100mbit", "1gbit" (a thousand, a million, a billion bits per second) -> bytes per second.
std::optional<double> parse_bytes_per_second(std::string_view text);

}  // namespace shoal
