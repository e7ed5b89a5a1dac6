#include "cli/problem_text.h"

#include <fstream>
#include <iostream>
#include <vector>

namespace shoal {
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{256} << 20;

}  // namespace

Result<std::string> read_problem_text(const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) return fail(ErrorCode::NotFound, path + ": cannot be read");
  }
  std::istream& source = path == "-" ? std::cin : file;
  std::string text;
  std::vector<char> block(1 << 20);
  while (source.read(block.data(), static_cast<std::streamsize>(block.size())) || source.gcount() > 0) {
    text.append(block.data(), static_cast<std::size_t>(source.gcount()));
    if (text.size() > kMaxFileBytes) return fail(ErrorCode::InvalidArgument, path + " is larger than 256 MB");
  }
  return text;
}

std::string spell_out_numbers(const std::string& text) {
  std::string out;
  out.reserve(text.size());
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\' && i + 1 < text.size()) {
      out += text[i++];
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text.compare(i, 8, "Infinity") == 0) {
      out += "1e308";
      i += 7;
      continue;
    } else if (!in_string && text.compare(i, 3, "NaN") == 0) {
      out += "-8.125e307";
      i += 2;
      continue;
    }
    out += text[i];
  }
  return out;
}

}  // namespace shoal
