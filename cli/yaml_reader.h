#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace YAML {
class Node;
}

namespace shoal {

// Strict reading of one YAML mapping: every key must be asked for, with its type and bounds. Collects the
// first fault with file:line:column. Home of <yaml-cpp/yaml.h>.
class YamlMap {
 public:
  // The whole file as one mapping; `what` says for a reader what it should hold.
  static Result<YamlMap> open(const std::string& path, const std::string& what);

  void text(const char* key, std::string& out);
  void texts(const char* key, std::vector<std::string>& out);
  template <typename Integer>
  void integer(const char* key, Integer& out, std::uint64_t least, std::uint64_t most) {
    std::uint64_t value = out;
    number(key, value, least, most);
    out = static_cast<Integer>(value);
  }
  void real(const char* key, double& out, double least, double most);
  void size(const char* key, std::uint64_t& out_bytes);      // 512M, 2G
  void time(const char* key, double& out_seconds);           // 150us, 2ms, 1.5s, 10min
  void rate(const char* key, double& out_bytes_per_second);  // 100mbit, 1gbit
  void flag(const char* key, bool& out);                     // true, false
  void one_of(const char* key, std::string& out, const std::vector<std::string>& choices);
  void map(const char* key, const std::function<void(YamlMap&)>& read);
  void maps(const char* key, const std::function<void(YamlMap&)>& read);  // a list of mappings
  void require(const char* key);  // missing is a fault, found after unknown keys: those may be the missing
                                  // one misspelt
  bool has(const char* key) const;

  // Faults that only the reader's owner can see; `key` names the place.
  void fault(const char* key, const std::string& what);
  // `word` names none of these: says so, with the nearest of them.
  void fault_unknown(const char* key, const std::string& word, const std::vector<std::string>& right);

  // After everything was asked for: the first fault, an unknown key among them.
  Status finish();

 private:
  struct Document;
  YamlMap(std::shared_ptr<Document> document, std::shared_ptr<YAML::Node> node);

  void number(const char* key, std::uint64_t& out, std::uint64_t least, std::uint64_t most);
  std::shared_ptr<YAML::Node> take(const char* key);
  void fault_at(const YAML::Node& node, const std::string& what);
  void finish_keys();

  std::shared_ptr<Document> document_;
  std::shared_ptr<YAML::Node> node_;
  std::vector<std::string> known_;
  std::vector<std::string> required_;
};

}  // namespace shoal
