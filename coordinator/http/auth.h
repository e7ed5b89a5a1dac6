#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coordinator/http/api_error.h"

namespace shoal {

// Time depends on the length of `given` alone, not on where it differs.
bool constant_time_equal(std::string_view given, std::string_view expected);

// 127.0.0.0/8, ::1 or "localhost".
bool is_loopback_address(std::string_view address);

// nullopt: `authorization` is "Bearer <api_key>", or no key is set.
std::optional<ApiError> check_bearer(std::string_view authorization, std::string_view api_key);

// Against DNS rebinding: a page of a foreign site can make a browser talk to us only under that site's name.
// Host may be an IP address, localhost, or one of `allowed` (without port); the port is not looked at.
std::optional<ApiError> check_host(std::string_view host, std::span<const std::string> allowed);

}  // namespace shoal
