#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

namespace shoal {

// SHA-256 of bytes as they come (FIPS 180-4).
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(Sha256Stream&&) noexcept;
  Sha256Stream& operator=(Sha256Stream&&) noexcept;

  void add(std::span<const std::byte> bytes);
  std::string hex() const;  // 64 lower-case digits, of all bytes so far

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// 64 lower-case digits. Reads the whole file; NotFound where it cannot.
Result<std::string> sha256_of_file(const std::string& path);

}  // namespace shoal
