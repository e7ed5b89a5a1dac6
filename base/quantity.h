#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace shoal {

// Times, rates and sizes as people write them, in configs and on command lines. A number and its unit,
// nothing else; nothing where the text is anything but that, or the value is negative or no finite number.

// "150us", "2ms", "1.5s", "10min", "2h" -> seconds.
std::optional<double> parse_seconds(std::string_view text);

// "250kbit", "100mbit", "1gbit" (a thousand, a million, a billion bits per second) -> bytes per second.
std::optional<double> parse_bytes_per_second(std::string_view text);

// Memory: a whole number of bytes, or of KiB, MiB or GiB with K, M or G behind it ("512M", "2GB", "2GiB" too)
// -> bytes. Nothing, too, where it passes 64 bits or is below 1 MiB, which no device can use: a number whose
// unit was forgotten.
std::optional<std::uint64_t> parse_memory_size(std::string_view text);
// What a message says such a size is.
inline constexpr const char* kMemorySizeWords = "a size of 1M at least (for example 512M or 2G)";

}  // namespace shoal
