#pragma once

#include <cstddef>
#include <string>

#include "coordinator/http/exchange.h"

namespace shoal {

// How a response's bytes go out on its connection.
struct ResponseFraming {
  enum class Body { Length, Chunked, UntilClose };
  bool is_http_1_1 = true;
  bool keep_alive = true;
  Body body = Body::Length;
};

const char* reason_phrase(int status);

// Status line and headers, to the empty line. Source: RFC 9112.
std::string response_head(const HttpResponse& response, const ResponseFraming& framing);

// One chunk of a chunked body; empty `bytes` would end it, so they give nothing.
std::string http_chunk(std::string_view bytes);
inline constexpr std::string_view kLastHttpChunk = "0\r\n\r\n";

}  // namespace shoal
