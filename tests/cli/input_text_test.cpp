#include "cli/input_text.h"

#include <doctest/doctest.h>

#include "model/gguf.h"
#include "tests/cli/scratch.h"
#include "tests/support/tiny_model.h"

namespace shoal {
namespace {

TEST_CASE("a file's bytes are read as they are, and what is no file is told so") {
  const ScratchFolder scratch;
  const std::string bytes("a\0\xFF\r\n", 5);
  const Result<std::string> text = read_input(scratch.write("text", bytes));
  REQUIRE(text);
  CHECK(*text == bytes);
  CHECK(read_input(scratch.write("empty", "")).value_or("?").empty());
  for (const std::string& path : {scratch.path(), scratch.file("nothing")}) {
    const Result<std::string> failed = read_input(path);
    REQUIRE_FALSE(failed);
    CHECK(failed.error().message().find(path + " cannot be read: ") == 0);
  }
}

TEST_CASE("bytes that are not UTF-8 are named with their place") {
  CHECK(check_utf8("", "the prompt"));
  CHECK(check_utf8("süß 🐟", "the prompt"));
  const Status broken = check_utf8("s\xC3\xBC\xFF?", "the prompt");
  REQUIRE_FALSE(broken);
  CHECK(broken.error().message() == "the prompt is not UTF-8 text: byte 0xFF at offset 3");
}

TEST_CASE("a text that has all its bytes in the ids needs no note") {
  const TinyModel model(11);
  const Result<GgufFile> file = GgufFile::open(model.path());
  REQUIRE(file);
  const Result<Tokenizer> tokenizer = Tokenizer::open(*file);
  REQUIRE(tokenizer);
  const std::string text = "any bytes: \xFF\xC3(\x01";
  const Result<std::vector<TokenId>> ids = tokenizer->encode(text, false);
  REQUIRE(ids);
  CHECK(tokenizer->decode(*ids, true) == text);
  CHECK(left_out_note(*tokenizer, text, *ids).empty());
  const std::vector<TokenId> all_but_last(ids->begin(), ids->end() - 1);
  CHECK(left_out_note(*tokenizer, text, all_but_last) ==
        "this model has no token for the byte 0x01 at offset 14: it is left out");
  CHECK(left_out_note(*tokenizer, text, {}) ==
        "this model has no token for 15 of the text's bytes, which are left out; the first is 0x61 at offset "
        "0");
}

}  // namespace
}  // namespace shoal
