#include <algorithm>
#include <array>
#include <charconv>

#include "base/printable.h"
#include "coordinator/http/api.h"
#include "coordinator/http/auth.h"

namespace shoal {

struct Api::Route {
  std::string_view method;
  std::string_view path;
  bool is_prefix = false;
  bool is_public = false;  // needs no key
  std::variant<HttpResponse (Api::*)(const HttpRequest&) const,
               Parsed<HttpResponse> (Api::*)(const JsonValue&) const,
               Parsed<GenerationPlan> (Api::*)(const JsonValue&) const>
      handler;
};

namespace {

bool is_json(std::string_view content_type) {
  constexpr std::string_view kJson = "application/json";
  const std::string_view type = content_type.substr(0, content_type.find_first_of("; \t"));
  return std::ranges::equal(type, kJson, {},
                            [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
}

// `with_version` is the same path below /v1, where there is something; clients are often given a base URL
// without it.
ApiError no_such_path(std::string_view path, std::string_view with_version) {
  const std::string hint = with_version.empty() ? "See /v1/chat/completions, /v1/completions, /v1/models."
                                                : "Did you mean '" + std::string(with_version) + "'?";
  return not_found("There is nothing at '" + printable(path, 255) + "'. " + hint, "unknown_path");
}

ApiError wrong_method(std::string_view method, std::string_view path, const std::string& allowed) {
  return {.status = 405,
          .message = std::string(method.substr(0, 32)) + " does not work on '" + std::string(path) +
                     "'; use " + allowed + ".",
          .param = {},
          .code = "method_not_allowed",
          .allow = allowed};
}

// Also what keeps pages of foreign sites out: a browser asks before it sends JSON there, and not before a
// form.
ApiError wrong_content_type(std::string_view got) {
  std::string message = "The body must be JSON, with the header \"Content-Type: application/json\"";
  if (got.empty()) {
    message += ", and the request has no Content-Type";
  } else {
    message += ", and the request says \"" + printable(got) + "\"";
  }
  if (got.starts_with("application/x-www-form-urlencoded")) {
    message += ", as curl -d does by itself; add -H 'Content-Type: application/json'";
  }
  ApiError error = bad_request(message + ".", {}, "unsupported_media_type");
  error.status = 415;
  return error;
}

std::string_view authority_and_path(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.starts_with(scheme)) return target.substr(scheme.size());
  }
  return {};
}

}  // namespace

std::optional<std::string> host_of_target(std::string_view target) {
  const std::string_view rest = authority_and_path(target);
  if (rest.empty()) return std::nullopt;
  return std::string(rest.substr(0, rest.find_first_of("/?")));
}

std::string path_of_target(std::string_view target) {
  if (const std::string_view rest = authority_and_path(target); !rest.empty()) {
    const std::size_t slash = rest.find('/');
    target = slash == std::string_view::npos ? "/" : rest.substr(slash);
  }
  target = target.substr(0, target.find_first_of("?#"));
  std::string path;
  for (std::size_t i = 0; i < target.size(); ++i) {
    unsigned char byte = 0;
    const char* digits = target.data() + i + 1;
    if (target[i] == '%' && i + 2 < target.size() &&
        std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
      path += static_cast<char>(byte);
      i += 2;
    } else {
      path += target[i];
    }
  }
  return path;
}

const std::vector<Api::Route>& Api::routes() {
  static const std::vector<Route> kRoutes = {
      {"POST", "/v1/chat/completions", false, false, &Api::plan_chat},
      {"POST", "/v1/completions", false, false, &Api::plan_completion},
      {"GET", "/v1/models", false, false, &Api::models},
      {"GET", "/v1/models/", true, false, &Api::model},
      {"GET", "/health", false, true, &Api::health},
      {"GET", "/version", false, false, &Api::version},
      {"GET", "/api/cluster", false, false, &Api::cluster},
      {"POST", "/tokenize", false, false, &Api::tokenize},
      {"POST", "/detokenize", false, false, &Api::detokenize},
  };
  return kRoutes;
}

const Api::Route* Api::find_route(std::string_view method, std::string_view path) {
  if (method == "HEAD") method = "GET";
  for (const Route& route : routes()) {
    const bool matches = route.is_prefix ? path.starts_with(route.path) && path.size() > route.path.size()
                                         : path == route.path;
    if (matches && (method.empty() || route.method == method)) return &route;
  }
  return nullptr;
}

std::string Api::methods_of(std::string_view path) {
  const Route* route = find_route({}, path);  // each path has one method
  if (route == nullptr) return {};
  return route->method == "GET" ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
}

std::optional<HttpResponse> Api::refuse(const HttpRequest& head) const {
  const std::optional<std::string> target_host = host_of_target(head.target);
  if (!target_host && !head.has_host && head.is_http_1_1)
    return error_response(bad_request("The Host header is missing."));
  if (target_host || head.has_host) {
    const std::string& host = target_host ? *target_host : head.host;
    if (const auto error = check_host(host, options_.allowed_hosts)) return error_response(*error);
  }
  const std::string path = path_of_target(head.target);
  const std::string allowed = methods_of(path);
  if (head.method == "OPTIONS" && !allowed.empty()) return HttpResponse{204, {}, {}, {{"Allow", allowed}}};

  const Route* route = find_route(head.method, path);
  if (route == nullptr || !route->is_public) {
    if (const auto error = check_bearer(head.authorization, options_.api_key)) return error_response(*error);
  }
  if (allowed.empty()) {
    const std::string with_version = "/v1" + path;
    return error_response(no_such_path(path, methods_of(with_version).empty() ? "" : with_version));
  }
  if (route == nullptr) return error_response(wrong_method(head.method, path, allowed));
  if (route->method == "POST" && !is_json(head.content_type)) {
    return error_response(wrong_content_type(head.content_type));
  }
  return std::nullopt;
}

void Api::handle(std::shared_ptr<Exchange> exchange) {
  const HttpRequest& request = exchange->request();
  const Route* route = find_route(request.method, path_of_target(request.target));
  SHOAL_CHECK(route != nullptr);  // refuse() let it through
  if (const auto* immediate = std::get_if<0>(&route->handler))
    return exchange->reply((this->**immediate)(request));
  if (const auto* answer = std::get_if<1>(&route->handler))
    return prepare_answer(std::move(exchange), *answer);
  prepare_generation(std::move(exchange), std::get<2>(route->handler));
}

std::vector<std::pair<std::string, std::string>> Api::origin_headers(const HttpRequest& head) const {
  if (head.origin.empty() ||
      std::ranges::find(options_.allowed_origins, head.origin) == options_.allowed_origins.end())
    return {};
  return {{"Access-Control-Allow-Origin", head.origin},
          {"Vary", "Origin"},
          {"Access-Control-Allow-Methods", "GET, POST, OPTIONS"},
          {"Access-Control-Allow-Headers", "authorization, content-type"},
          {"Access-Control-Max-Age", "600"}};
}

}  // namespace shoal
