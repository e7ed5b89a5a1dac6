#include "transport/zap.h"

#include <charconv>

#include "transport/z85.h"

namespace shoal {

Status ZapDesk::admit(DeviceId device, const std::string& public_key) {
  if (!is_z85_key(public_key))
    return fail(ErrorCode::InvalidArgument, "admitting a device: its public key is no key");
  const auto holder = by_key_.find(public_key);
  if (holder != by_key_.end() && holder->second != device) {
    return fail(ErrorCode::InvalidArgument,
                "this key is already admitted as device " + std::to_string(raw(holder->second)));
  }
  const auto known = devices_.find(device);
  if (known != devices_.end() && known->second.public_key == public_key) return {};
  revoke(device);
  devices_[device] = {public_key, next_connection_};
  by_key_[public_key] = device;
  return {};
}

void ZapDesk::revoke(DeviceId device) {
  const auto known = devices_.find(device);
  if (known == devices_.end()) return;
  by_key_.erase(known->second.public_key);
  devices_.erase(known);
}

std::optional<std::string> ZapDesk::judge(std::string_view domain, std::string_view mechanism,
                                          Bytes credentials) {
  ++num_refused_;  // taken back below
  if (mechanism != "CURVE" || credentials.size() != 32) return std::nullopt;
  const std::string key =
      z85_encode({reinterpret_cast<const std::uint8_t*>(credentials.data()), credentials.size()});
  std::string user_id;
  if (domain == name_of(Lane::Join)) {
    if (join_key_.empty() || key != join_key_) return std::nullopt;
    user_id = kJoiner;
  } else if (domain == name_of(Lane::Control) || domain == name_of(Lane::Data) ||
             domain == name_of(Lane::Bulk)) {
    const auto holder = by_key_.find(key);
    if (holder == by_key_.end()) return std::nullopt;
    user_id = std::to_string(raw(holder->second)) + "." + std::to_string(next_connection_++);
  } else {
    return std::nullopt;
  }
  --num_refused_;
  return user_id;
}

std::optional<ZapDesk::Identity> ZapDesk::identify(std::string_view user_id) const {
  std::uint32_t device = 0;
  std::uint64_t connection = 0;
  const char* end = user_id.data() + user_id.size();
  const auto [dot, bad_device] = std::from_chars(user_id.data(), end, device);
  if (bad_device != std::errc{} || dot == end || *dot != '.') return std::nullopt;
  const auto [stop, bad_connection] = std::from_chars(dot + 1, end, connection);
  if (bad_connection != std::errc{} || stop != end) return std::nullopt;
  const auto known = devices_.find(DeviceId{device});
  if (known == devices_.end() || connection < known->second.first_connection) return std::nullopt;
  return Identity{DeviceId{device}, connection};
}

}  // namespace shoal
