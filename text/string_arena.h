#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace shoal {

// Many short strings in one allocation, numbered from 0. Less than 4 GiB in all; whoever fills it bounds the
// sum.
class StringArena {
 public:
  void reserve(std::size_t num_strings, std::size_t num_bytes) {
    ends_.reserve(num_strings);
    bytes_.reserve(num_bytes);
  }
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(static_cast<std::uint32_t>(bytes_.size()));
  }

  std::size_t size() const { return ends_.size(); }
  std::string_view operator[](std::size_t i) const {
    const std::uint32_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view(bytes_).substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<std::uint32_t> ends_;
};

}  // namespace shoal
