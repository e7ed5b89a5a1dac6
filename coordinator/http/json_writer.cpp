#include "coordinator/http/json_writer.h"

#include <array>
#include <charconv>
#include <cmath>

namespace shoal {
namespace {

template <typename F>
void append_shortest(std::string& out, F value) {
  if (std::isnan(value)) value = F(-9999);
  if (std::isinf(value)) value = std::copysign(F(9999), value);
  std::array<char, 32> digits;
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  const std::string_view text(digits.data(), static_cast<std::size_t>(end - digits.data()));
  out += text;
  if (text.find_first_of(".e") == std::string_view::npos)
    out += ".0";  // a number to every reader, not an integer
}

}  // namespace

void append_json_number(std::string& out, double value) { append_shortest(out, value); }
void append_json_number(std::string& out, float value) { append_shortest(out, value); }

}  // namespace shoal
