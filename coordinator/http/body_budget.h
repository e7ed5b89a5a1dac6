#pragma once

#include <atomic>
#include <cstddef>
#include <memory>

namespace shoal {

// How many bytes all clients' request bodies hold together, from their first byte to when they were read as
// JSON. Any thread.
class BodyBudget {
 public:
  explicit BodyBudget(std::size_t limit) : limit_(limit) {}

  // False, and nothing is taken: it would pass the limit.
  bool take(std::size_t bytes) {
    if (taken_.fetch_add(bytes) + bytes <= limit_) return true;
    taken_ -= bytes;
    return false;
  }
  void give_back(std::size_t bytes) { taken_ -= bytes; }
  std::size_t taken() const { return taken_; }

 private:
  const std::size_t limit_;
  std::atomic<std::size_t> taken_{0};
};

// One body's part of the budget, given back when it goes.
class BodyPlace {
 public:
  explicit BodyPlace(std::shared_ptr<BodyBudget> budget) : budget_(std::move(budget)) {}
  ~BodyPlace() { budget_->give_back(bytes_); }
  BodyPlace(const BodyPlace&) = delete;
  BodyPlace& operator=(const BodyPlace&) = delete;

  // False, and the place stays as it was: the budget is spent.
  bool grow_to(std::size_t bytes) {
    if (bytes <= bytes_) return true;
    if (!budget_->take(bytes - bytes_)) return false;
    bytes_ = bytes;
    return true;
  }

 private:
  std::shared_ptr<BodyBudget> budget_;
  std::size_t bytes_ = 0;
};

}  // namespace shoal
