#include "coordinator/http/response_head.h"

#include <array>
#include <charconv>

namespace shoal {

const char* reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

std::string response_head(const HttpResponse& response, const ResponseFraming& framing) {
  std::string head =
      "HTTP/1.1 " + std::to_string(response.status) + " " + reason_phrase(response.status) + "\r\n";
  const auto field = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ").append(value).append("\r\n");
  };
  field("Server", "shoal");
  if (!response.content_type.empty()) field("Content-Type", response.content_type);
  for (const auto& [name, value] : response.headers) field(name, value);
  field("X-Content-Type-Options", "nosniff");
  if (framing.body == ResponseFraming::Body::Chunked) {
    field("Transfer-Encoding", "chunked");
  } else if (framing.body == ResponseFraming::Body::Length && response.status != 204) {
    field("Content-Length", std::to_string(response.body.size()));
  }
  if (!framing.keep_alive) {
    field("Connection", "close");
  } else if (!framing.is_http_1_1) {
    field("Connection", "keep-alive");
  }
  return head + "\r\n";
}

std::string http_chunk(std::string_view bytes) {
  if (bytes.empty()) return {};
  std::array<char, 16> size;
  const auto end = std::to_chars(size.data(), size.data() + size.size(), bytes.size(), 16).ptr;
  std::string chunk(size.data(), end);
  return chunk.append("\r\n").append(bytes).append("\r\n");
}

}  // namespace shoal
