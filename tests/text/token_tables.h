#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/gguf.h"
#include "model/gguf_writer.h"
#include "text/tokenizer.h"

namespace shoal {

// A tokenizer's tables as a GGUF file carries them, to be written out whole or damaged.
struct TokenTables {
  std::string model;  // "gpt2" or "llama"
  std::string pre;    // empty: absent
  std::vector<std::string> tokens;
  std::vector<std::int32_t> types;  // empty: absent
  std::vector<float> scores;        // empty: absent
  std::vector<std::string> merges;  // empty: absent

  std::int32_t add(const std::string& token, std::int32_t type = 1,
                   float score = 0.0f);                // gives the token's id
  std::int32_t id_of(const std::string& token) const;  // -1: none
};

// The 256 byte tokens (as byte-level BPE or as <0xNN>), and nothing more.
TokenTables byte_level_tables(const std::string& pre);
TokenTables sentence_piece_tables();

using EditMetadata = std::function<void(GgufWriter&)>;
const EditMetadata kNoEdit = [](GgufWriter&) {};

// The tables as a file on disk, opened; `edit` has the last word on its metadata.
Result<GgufFile> write_and_open(const TokenTables& tables, const EditMetadata& edit = kNoEdit);
Result<Tokenizer> open_tokenizer(const TokenTables& tables, const EditMetadata& edit = kNoEdit);

}  // namespace shoal
