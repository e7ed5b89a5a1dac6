#include "cli/yaml_reader.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>

#include "base/quantity.h"
#include "cli/nearest_name.h"

namespace shoal {

struct YamlMap::Document {
  std::string path;
  std::optional<Error> first_fault;
};

namespace {

constexpr std::uintmax_t kMaxFileBytes = 1 << 20;
constexpr double kLongestSeconds = 10 * 365.0 * 86400;
constexpr double kLeastRate = 1e3 / 8;
constexpr double kGreatestRate = 1e12 / 8;

// What has no place of its own (an empty document, say) is said of the file's beginning.
std::string place(const std::string& path, const YAML::Mark& mark) {
  const YAML::Mark where = mark.is_null() ? YAML::Mark() : mark;
  return path + ":" + std::to_string(where.line + 1) + ":" + std::to_string(where.column + 1);
}

// As people write it: 0.5, 1000, 1e+09.
std::string number_text(double number) {
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number);
  return std::string(text, end);
}

}  // namespace

YamlMap::YamlMap(std::shared_ptr<Document> document, std::shared_ptr<YAML::Node> node)
    : document_(std::move(document)), node_(std::move(node)) {}

Result<YamlMap> YamlMap::open(const std::string& path, const std::string& what) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return fail(ErrorCode::NotFound, path + ": " + error.message());
  if (size > kMaxFileBytes)
    return fail(ErrorCode::InvalidArgument, path + " is larger than a config can be (1 MB)");
  auto document = std::make_shared<Document>();
  document->path = path;
  try {
    auto root = std::make_shared<YAML::Node>(YAML::LoadFile(path));
    if (!root->IsMap()) return fail(ErrorCode::InvalidArgument, place(path, root->Mark()) + ": " + what);
    return YamlMap(document, std::move(root));
  } catch (const YAML::Exception& problem) {
    return fail(ErrorCode::InvalidArgument, place(path, problem.mark) + ": " + problem.msg);
  }
}

void YamlMap::fault_at(const YAML::Node& node, const std::string& what) {
  if (!document_->first_fault) {
    document_->first_fault =
        Error(ErrorCode::InvalidArgument, place(document_->path, node.Mark()) + ": " + what);
  }
}

void YamlMap::fault(const char* key, const std::string& what) {
  const YAML::Node value = std::as_const(*node_)[key];
  fault_at(value.IsDefined() ? value : *node_, what);
}

void YamlMap::fault_unknown(const char* key, const std::string& word, const std::vector<std::string>& right) {
  fault(key, std::string("\"") + key + "\" cannot be \"" + word + "\"" + nearest_hint(word, right));
}

std::shared_ptr<YAML::Node> YamlMap::take(const char* key) {
  known_.emplace_back(key);
  const YAML::Node value = std::as_const(*node_)[key];
  return value.IsDefined() && !value.IsNull() ? std::make_shared<YAML::Node>(value) : nullptr;
}

void YamlMap::require(const char* key) { required_.emplace_back(key); }

bool YamlMap::has(const char* key) const {
  const YAML::Node value = std::as_const(*node_)[key];
  return value.IsDefined() && !value.IsNull();
}

void YamlMap::text(const char* key, std::string& out) {
  const auto value = take(key);
  if (!value) return;
  if (!value->IsScalar()) return fault_at(*value, std::string("\"") + key + "\" must be a text");
  if (value->Scalar().empty()) return fault_at(*value, std::string("\"") + key + "\" is empty");
  out = value->Scalar();
}

void YamlMap::texts(const char* key, std::vector<std::string>& out) {
  const auto value = take(key);
  if (!value) return;
  if (!value->IsSequence()) return fault_at(*value, std::string("\"") + key + "\" must be a list of texts");
  for (const YAML::Node& entry : *value) {
    if (!entry.IsScalar()) return fault_at(entry, std::string("\"") + key + "\" must be a list of texts");
    if (entry.Scalar().empty()) return fault_at(entry, std::string("\"") + key + "\" holds an empty text");
    out.push_back(entry.Scalar());
  }
}

void YamlMap::number(const char* key, std::uint64_t& out, std::uint64_t least, std::uint64_t most) {
  const auto value = take(key);
  if (!value) return;
  const std::string text = value->IsScalar() ? value->Scalar() : "";
  std::uint64_t parsed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  if (text.empty() || error != std::errc() || end != text.data() + text.size() || parsed < least ||
      parsed > most) {
    const std::string bounds =
        least == most ? std::to_string(least)
                      : "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
    return fault_at(*value, std::string("\"") + key + "\" must be " + bounds);
  }
  out = parsed;
}

void YamlMap::real(const char* key, double& out, double least, double most) {
  const auto value = take(key);
  if (!value) return;
  const std::string text = value->IsScalar() ? value->Scalar() : "";
  double parsed = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  const bool is_number = !text.empty() && error == std::errc() && end == text.data() + text.size();
  if (!is_number || !(parsed >= least && parsed <= most)) {
    return fault_at(*value, std::string("\"") + key + "\" is a number from " + number_text(least) + " to " +
                                number_text(most));
  }
  out = parsed;
}

void YamlMap::time(const char* key, double& out_seconds) {
  const auto value = take(key);
  if (!value) return;
  const std::optional<double> parsed = value->IsScalar() ? parse_seconds(value->Scalar()) : std::nullopt;
  if (!parsed || *parsed > kLongestSeconds)
    return fault_at(*value, std::string("\"") + key + "\" is a time (for example 150us, 2ms, 1.5s or 10min)");
  out_seconds = *parsed;
}

void YamlMap::rate(const char* key, double& out_bytes_per_second) {
  const auto value = take(key);
  if (!value) return;
  const std::optional<double> parsed =
      value->IsScalar() ? parse_bytes_per_second(value->Scalar()) : std::nullopt;
  if (!parsed || *parsed < kLeastRate || *parsed > kGreatestRate)
    return fault_at(*value,
                    std::string("\"") + key + "\" is a rate from 1kbit to 1000gbit (for example 100mbit)");
  out_bytes_per_second = *parsed;
}

void YamlMap::flag(const char* key, bool& out) {
  const auto value = take(key);
  if (!value) return;
  const std::string text = value->IsScalar() ? value->Scalar() : "";
  if (text != "true" && text != "false")
    return fault_at(*value, std::string("\"") + key + "\" is true or false");
  out = text == "true";
}

void YamlMap::size(const char* key, std::uint64_t& out_bytes) {
  const auto value = take(key);
  if (!value) return;
  const std::optional<std::uint64_t> bytes =
      value->IsScalar() ? parse_memory_size(value->Scalar()) : std::nullopt;
  if (!bytes) return fault_at(*value, std::string("\"") + key + "\" must be " + kMemorySizeWords);
  out_bytes = *bytes;
}

void YamlMap::one_of(const char* key, std::string& out, const std::vector<std::string>& choices) {
  const auto value = take(key);
  if (!value) return;
  const std::string text = value->IsScalar() ? value->Scalar() : "";
  if (std::ranges::find(choices, text) == choices.end()) {
    return fault_at(*value,
                    std::string("\"") + key + "\" cannot be \"" + text + "\"" + nearest_hint(text, choices));
  }
  out = text;
}

void YamlMap::map(const char* key, const std::function<void(YamlMap&)>& read) {
  const auto value = take(key);
  if (!value) return;
  if (!value->IsMap()) return fault_at(*value, std::string("\"") + key + "\" must be a mapping");
  YamlMap inner(document_, value);
  read(inner);
  inner.finish_keys();
}

void YamlMap::maps(const char* key, const std::function<void(YamlMap&)>& read) {
  const auto value = take(key);
  if (!value) return;
  if (!value->IsSequence())
    return fault_at(*value, std::string("\"") + key + "\" must be a list of mappings");
  for (const YAML::Node& entry : *value) {
    if (!entry.IsMap()) return fault_at(entry, std::string("\"") + key + "\" must be a list of mappings");
    YamlMap inner(document_, std::make_shared<YAML::Node>(entry));
    read(inner);
    inner.finish_keys();
  }
}

void YamlMap::finish_keys() {
  std::vector<std::string> seen;
  for (const auto& entry : *node_) {
    const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
    if (std::ranges::find(known_, key) == known_.end())
      fault_at(entry.first, "unknown key \"" + key + "\"" + nearest_hint(key, known_));
    if (std::ranges::find(seen, key) != seen.end())
      fault_at(entry.first, "the key \"" + key + "\" stands here twice");
    seen.push_back(key);
    const bool is_required = std::ranges::find(required_, key) != required_.end();
    if (is_required && entry.second.IsNull()) fault_at(entry.first, "the key \"" + key + "\" has no value");
  }
  for (const std::string& key : required_) {
    if (std::ranges::find(seen, key) == seen.end()) fault_at(*node_, "the key \"" + key + "\" is missing");
  }
}

Status YamlMap::finish() {
  finish_keys();
  if (document_->first_fault) return fail(*document_->first_fault);
  return {};
}

}  // namespace shoal
