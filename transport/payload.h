#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace shoal {

// Move-only bytes of a frame, read where they lie (any alignment), with whatever keeps them alive. The owner
// lives inside the payload when it fits 72 bytes (a ZeroMQ message, a pooled buffer's handle), so passing one
// on allocates nothing.
class Payload {
 public:
  Payload() = default;

  template <typename Owner>  // keeps `owner`; bytes must stay valid when the owner is moved
  Payload(Owner owner, Bytes bytes) : bytes_(bytes) {
    static_assert(sizeof(Owner) <= kOwnerBytes && std::is_nothrow_move_constructible_v<Owner>);
    new (owner_) Owner(std::move(owner));
    handle_ = [](void* from, void* to) {
      if (to) new (to) Owner(std::move(*static_cast<Owner*>(from)));
      static_cast<Owner*>(from)->~Owner();
    };
  }
  static Payload copy_of(Bytes bytes);
  static Payload owning(std::vector<std::byte> bytes);

  Payload(Payload&& other) noexcept { take(other); }
  Payload& operator=(Payload&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  ~Payload() { reset(); }

  Bytes bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  friend bool operator==(const Payload& a, const Payload& b) {  // of the bytes
    return std::equal(a.bytes_.begin(), a.bytes_.end(), b.bytes_.begin(), b.bytes_.end());
  }
  void reset() {
    if (handle_) handle_(owner_, nullptr);
    handle_ = nullptr;
    bytes_ = {};
  }

 private:
  static constexpr std::size_t kOwnerBytes = 72;
  using Handle = void (*)(void* from, void* to);  // to == null: destroy; otherwise move and destroy

  void take(Payload& other) {
    bytes_ = std::exchange(other.bytes_, {});
    handle_ = std::exchange(other.handle_, nullptr);
    if (handle_) handle_(other.owner_, owner_);
  }

  alignas(std::max_align_t) std::byte owner_[kOwnerBytes];
  Handle handle_ = nullptr;
  Bytes bytes_;
};

inline Payload Payload::owning(std::vector<std::byte> bytes) {
  auto owner = std::make_unique<std::vector<std::byte>>(std::move(bytes));
  const Bytes view(*owner);
  return Payload(std::move(owner), view);
}
inline Payload Payload::copy_of(Bytes bytes) {
  return owning(std::vector<std::byte>(bytes.begin(), bytes.end()));
}

}  // namespace shoal
