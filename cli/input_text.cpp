#include "cli/input_text.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include "base/utf8.h"

namespace shoal {
namespace {

constexpr std::size_t kReadBytes = 64 << 10;

struct CloseUnlessStdin {
  void operator()(std::FILE* file) const {
    if (file != stdin) std::fclose(file);
  }
};
using InputFile = std::unique_ptr<std::FILE, CloseUnlessStdin>;

// "0xFF at offset 12"
std::string byte_at(std::string_view text, std::size_t offset) {
  char byte[8];
  std::snprintf(byte, sizeof byte, "0x%02X", static_cast<unsigned>(static_cast<unsigned char>(text[offset])));
  return std::string(byte) + " at offset " + std::to_string(offset);
}

}  // namespace

Result<std::string> read_input(const std::string& path) {
  const std::string name = path == "-" ? "the standard input" : path;
  const InputFile file(path == "-" ? stdin : std::fopen(path.c_str(), "rb"));
  if (!file) return fail(ErrorCode::NotFound, name + " cannot be read: " + std::strerror(errno));
  std::string text;
  std::vector<char> buffer(kReadBytes);
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
    text.append(buffer.data(), got);
    if (text.size() > kMaxInputBytes)
      return fail(ErrorCode::InvalidArgument,
                  name + " is larger than " + std::to_string(kMaxInputBytes >> 20) + " MB");
  }
  if (std::ferror(file.get()) != 0)
    return fail(ErrorCode::NotFound, name + " cannot be read: " + std::strerror(errno));
  return text;
}

Status check_utf8(std::string_view text, std::string_view what) {
  const std::size_t valid = valid_utf8_run(text, 0);
  if (valid == text.size()) return {};
  return fail(ErrorCode::InvalidArgument,
              std::string(what) + " is not UTF-8 text: byte " + byte_at(text, valid));
}

std::string left_out_note(const Tokenizer& tokenizer, std::string_view text, std::span<const TokenId> ids) {
  const std::optional<Tokenizer::LeftOut> lost = tokenizer.left_out(text, ids);
  if (!lost) return "";
  const std::string first = byte_at(text, lost->first);
  const std::string lead = "this model has no token for ";
  if (lost->count == 1) return lead + "the byte " + first + ": it is left out";
  return lead + std::to_string(lost->count) + " of the text's bytes, which are left out; the first is " +
         first;
}

}  // namespace shoal
