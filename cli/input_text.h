#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/result.h"
#include "text/tokenizer.h"

namespace shoal {

inline constexpr std::size_t kMaxInputBytes = std::size_t{64} << 20;

// A file's bytes, or the standard input's for "-". NotFound: it cannot be read (a directory, say);
// InvalidArgument: it is larger than kMaxInputBytes.
Result<std::string> read_input(const std::string& path);

// OK where `text` is UTF-8; otherwise InvalidArgument, with the first byte that is not and its place.
// `what` begins the message: "the prompt".
Status check_utf8(std::string_view text, std::string_view what);

// What `ids` lack of the text they were made of, in words; empty: nothing.
std::string left_out_note(const Tokenizer& tokenizer, std::string_view text, std::span<const TokenId> ids);

}  // namespace shoal
