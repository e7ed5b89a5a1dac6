#include "tests/text/token_tables.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <filesystem>

#include "text/byte_alphabet.h"

namespace shoal {

std::int32_t TokenTables::add(const std::string& token, std::int32_t type, float score) {
  tokens.push_back(token);
  types.push_back(type);
  if (model == "llama") scores.push_back(score);
  return static_cast<std::int32_t>(tokens.size() - 1);
}

std::int32_t TokenTables::id_of(const std::string& token) const {
  const auto found = std::find(tokens.begin(), tokens.end(), token);
  return found == tokens.end() ? -1 : static_cast<std::int32_t>(found - tokens.begin());
}

TokenTables byte_level_tables(const std::string& pre) {
  TokenTables tables{.model = "gpt2", .pre = pre, .tokens = {}, .types = {}, .scores = {}, .merges = {}};
  for (int byte = 0; byte < 256; ++byte)
    tables.add(std::string(byte_character(static_cast<std::uint8_t>(byte))));
  return tables;
}

TokenTables sentence_piece_tables() {
  TokenTables tables{.model = "llama", .pre = "", .tokens = {}, .types = {}, .scores = {}, .merges = {}};
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "<0x%02X>", byte);
    tables.add(text.data(), 6);
  }
  return tables;
}

Result<GgufFile> write_and_open(const TokenTables& tables, const EditMetadata& edit) {
  GgufWriter writer;
  writer.set("general.architecture", GgufValue::string("llama"));
  writer.set("tokenizer.ggml.model", GgufValue::string(tables.model));
  writer.set("tokenizer.ggml.tokens", GgufValue::strings(tables.tokens));
  if (!tables.pre.empty()) writer.set("tokenizer.ggml.pre", GgufValue::string(tables.pre));
  if (!tables.types.empty()) writer.set("tokenizer.ggml.token_type", GgufValue::i32s(tables.types));
  if (!tables.scores.empty()) writer.set("tokenizer.ggml.scores", GgufValue::f32s(tables.scores));
  if (tables.model == "gpt2") writer.set("tokenizer.ggml.merges", GgufValue::strings(tables.merges));
  edit(writer);

  static std::atomic<int> next = 0;
  const std::string name =
      "shoal_tokens_" + std::to_string(getpid()) + "_" + std::to_string(next++) + ".gguf";
  const std::filesystem::path path = std::filesystem::temp_directory_path() / name;
  if (const Status written = writer.write_file(path.string()); !written) return fail(written.error());
  Result<GgufFile> file = GgufFile::open(path.string());
  std::filesystem::remove(path);  // the mapping stays
  return file;
}

Result<Tokenizer> open_tokenizer(const TokenTables& tables, const EditMetadata& edit) {
  const Result<GgufFile> file = write_and_open(tables, edit);
  if (!file) return fail(file.error());
  return Tokenizer::open(*file);
}

}  // namespace shoal
