#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "tests/text/token_tables.h"

namespace shoal {

// A text and the ids that somebody else's tokenizer gives for it.
struct JudgedCase {
  std::string text;
  bool special = false;
  std::vector<TokenId> ids;
};
using JudgedCases = std::vector<JudgedCase>;

// tests/data/tokenizer_judge.json; how it was made: tokenizer_judge.py.
struct Judgement {
  TokenTables bpe;                               // without a pre-tokenizer
  std::map<std::string, JudgedCases> bpe_cases;  // by pre-tokenizer
  TokenTables spm;
  JudgedCases spm_cases;
  JudgedCases spm_cases_with_space_prefix;
  std::map<std::string, JudgedCases> models;  // by file name
  std::vector<std::pair<std::string, std::string>>
      replaced;  // bytes, and what Python reads with errors="replace"
};
Judgement read_judgement();

// tests/data/tokenizer.json: by model file name.
std::map<std::string, JudgedCases> read_reference();

}  // namespace shoal
