#pragma once

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>

namespace shoal {

inline constexpr const char* kSmolLm2File = "SmolLM2-135M-Instruct.Q4_1.gguf";
inline constexpr const char* kGemma3File = "gemma-3-270m-q4_k_m.gguf";

// The path of a real model in the directory that SHOAL_MODELS names; nullopt, and a line that says so, where
// it is not.
inline std::optional<std::string> real_model(const char* file_name) {
  const char* directory = std::getenv("SHOAL_MODELS");
  const std::filesystem::path path = std::filesystem::path(directory == nullptr ? "" : directory) / file_name;
  if (directory != nullptr && std::filesystem::exists(path)) return path.string();
  std::cout << "skipped: " << file_name << " is not in the directory SHOAL_MODELS names\n";
  return std::nullopt;
}

}  // namespace shoal
