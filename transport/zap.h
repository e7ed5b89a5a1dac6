#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/ids.h"
#include "base/result.h"
#include "transport/network.h"

namespace shoal {

// Who may connect: the decisions of a ZAP handler (RFC 27/ZAP), without its socket. Denies by default. Every
// accepted connection gets a user id of its own, "<device>.<connection number>", which libzmq attaches to
// each of its frames; it is the only identity we use. One thread.
class ZapDesk {
 public:
  // This key alone may reach the join lane, and nothing else.
  void admit_joiners(const std::string& public_key) { join_key_ = public_key; }
  Status admit(DeviceId device, const std::string& public_key);
  void revoke(DeviceId device);
  // Its key, nullptr: not admitted.
  const std::string* key_of(DeviceId device) const {
    const auto known = devices_.find(device);
    return known == devices_.end() ? nullptr : &known->second.public_key;
  }

  // The user id of a new connection, nullopt: refused. `domain` is the lane's name, `credentials` the raw
  // CURVE key.
  std::optional<std::string> judge(std::string_view domain, std::string_view mechanism, Bytes credentials);

  struct Identity {
    DeviceId device{};
    std::uint64_t connection = 0;  // later connections have larger numbers
  };
  // Whose frames carry this user id now; nullopt: nobody's any more (revoked, or admitted anew since).
  std::optional<Identity> identify(std::string_view user_id) const;
  static bool is_joiner(std::string_view user_id) { return user_id == kJoiner; }

  std::uint64_t num_refused() const { return num_refused_; }

 private:
  static constexpr std::string_view kJoiner = "join";
  struct Device {
    std::string public_key;
    std::uint64_t first_connection = 0;  // earlier ones belong to an earlier admission
  };

  std::map<DeviceId, Device> devices_;
  std::map<std::string, DeviceId> by_key_;
  std::string join_key_;
  std::uint64_t next_connection_ = 1;
  std::uint64_t num_refused_ = 0;
};

}  // namespace shoal
