#include "tests/text/judged_cases.h"

#include <fstream>
#include <nlohmann/json.hpp>

namespace shoal {
namespace {

using Json = nlohmann::json;

Json read_json(const char* name) {
  std::ifstream file(std::string(SHOAL_TEST_DATA) + "/" + name);
  return Json::parse(file);
}

JudgedCases cases_of(const Json& list) {
  JudgedCases cases;
  for (const Json& one : list) cases.push_back({one.at("text"), one.at("special"), one.at("ids")});
  return cases;
}

std::map<std::string, JudgedCases> named_cases_of(const Json& object) {
  std::map<std::string, JudgedCases> named;
  for (const auto& [name, list] : object.items()) named[name] = cases_of(list);
  return named;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(static_cast<std::uint8_t>(std::stoul(hex.substr(i, 2), nullptr, 16))));
  }
  return bytes;
}

}  // namespace

Judgement read_judgement() {
  const Json json = read_json("tokenizer_judge.json");
  Judgement judgement;
  const Json& bpe = json.at("bpe");
  judgement.bpe = {"gpt2", "", bpe.at("tokens"), bpe.at("types"), {}, bpe.at("merges")};
  judgement.bpe_cases = named_cases_of(bpe.at("cases"));
  const Json& spm = json.at("spm");
  judgement.spm = {"llama", "", spm.at("tokens"), spm.at("types"), spm.at("scores"), {}};
  judgement.spm_cases = cases_of(spm.at("cases"));
  judgement.spm_cases_with_space_prefix = cases_of(spm.at("cases_with_space_prefix"));
  judgement.models = named_cases_of(json.at("models"));
  for (const Json& pair : json.at("replacement"))
    judgement.replaced.emplace_back(from_hex(pair.at(0)), pair.at(1));
  return judgement;
}

std::map<std::string, JudgedCases> read_reference() {
  return named_cases_of(read_json("tokenizer.json").at("models"));
}

}  // namespace shoal
