#pragma once

#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>

namespace shoal {

inline constexpr const char* kSmolLm2File = "SmolLM2-135M-Instruct.Q4_1.gguf";
inline constexpr const char* kGemma3File = "gemma-3-270m-q4_k_m.gguf";

// A test went without a real model: the binary then ends with kSkipped and not with 0 (test_main.cpp).
inline constexpr int kSkipped = 77;
inline bool a_model_was_missing = false;

// The path of a real model in the directory that SHOAL_MODELS names. Where it is not: nullopt, and a line
// that says so; with SHOAL_NEED_MODELS=1 the test fails.
inline std::optional<std::string> real_model(const char* file_name) {
  const char* directory = std::getenv("SHOAL_MODELS");
  const std::filesystem::path path = std::filesystem::path(directory == nullptr ? "" : directory) / file_name;
  if (directory != nullptr && std::filesystem::exists(path)) return path.string();
  const std::string what = std::string(file_name) + " is not in the directory SHOAL_MODELS names";
  const char* needed = std::getenv("SHOAL_NEED_MODELS");
  if (needed != nullptr && std::string(needed) == "1") throw std::runtime_error(what);
  std::cout << "skipped: " << what << "\n";
  a_model_was_missing = true;
  return std::nullopt;
}

}  // namespace shoal
