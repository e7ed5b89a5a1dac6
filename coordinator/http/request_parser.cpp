// The home of Boost.Beast: its incremental parser, behind our bounds.
#include "coordinator/http/request_parser.h"

#include <boost/beast/http.hpp>
#include <iterator>

namespace shoal {

namespace http = boost::beast::http;

struct RequestParser::Beast {
  http::request_parser<http::string_body> parser;
};

namespace {

std::string value_of(const http::fields& fields, http::field name) {
  const auto it = fields.find(name);
  return it == fields.end() ? std::string() : std::string(it->value());
}

// RFC 9112, 2.2: empty lines before a request line are skipped.
void skip_empty_lines(std::string& input) {
  const std::size_t begin = input.find_first_not_of("\r\n");
  input.erase(0, begin == std::string::npos ? input.size() : begin);
}

}  // namespace

RequestParser::RequestParser(const HttpLimits& limits) : limits_(limits) { begin(); }
RequestParser::~RequestParser() = default;

void RequestParser::begin() {
  beast_ = std::make_unique<Beast>();
  beast_->parser.header_limit(limits_.header_bytes);
  beast_->parser.body_limit(limits_.body_bytes);
  beast_->parser.eager(true);
  state_ = State::Head;
  head_ = {};
  expects_continue_ = false;
}

RequestParser::State RequestParser::feed(std::string& input) {
  if (state_ == State::Complete || state_ == State::Refused) return state_;
  if (state_ == State::Head && !beast_->parser.got_some()) skip_empty_lines(input);
  if (input.empty()) return state_;

  boost::beast::error_code failure;
  const std::size_t taken = beast_->parser.put(boost::asio::buffer(input), failure);
  input.erase(0, taken);
  if (state_ == State::Head && beast_->parser.is_header_done()) read_head();
  if (state_ == State::Refused) return state_;
  if (failure == http::error::header_limit) {
    refuse(431, "The request's header is larger than " + std::to_string(limits_.header_bytes) + " bytes.");
  } else if (failure == http::error::body_limit) {
    refuse(413, "The request's body is larger than " + std::to_string(limits_.body_bytes) + " bytes.");
  } else if (failure && failure != http::error::need_more) {
    refuse(400, "This is not a valid HTTP request: " + failure.message() + ".");
  } else if (beast_->parser.is_done()) {
    state_ = State::Complete;
  }
  return state_;
}

void RequestParser::read_head() {
  const http::request<http::string_body>& message = beast_->parser.get();
  if (static_cast<std::size_t>(std::distance(message.begin(), message.end())) > limits_.header_fields) {
    return refuse(431,
                  "The request's header has more than " + std::to_string(limits_.header_fields) + " fields.");
  }
  if (message.count(http::field::host) > 1) return refuse(400, "The request has several Host headers.");
  if (message.version() != 10 && message.version() != 11)
    return refuse(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
  head_ = {.method = std::string(message.method_string()),
           .target = std::string(message.target()),
           .body = {},
           .host = value_of(message, http::field::host),
           .authorization = value_of(message, http::field::authorization),
           .content_type = value_of(message, http::field::content_type),
           .origin = value_of(message, http::field::origin),
           .has_host = message.count(http::field::host) == 1,
           .is_http_1_1 = message.version() == 11};
  keep_alive_ = message.keep_alive();
  expects_continue_ = boost::beast::iequals(value_of(message, http::field::expect), "100-continue");
  state_ = State::Body;
}

std::size_t RequestParser::body_bytes() const { return beast_->parser.get().body().size(); }

HttpRequest RequestParser::take() {
  HttpRequest request = std::move(head_);
  request.body = std::move(beast_->parser.get().body());
  begin();
  return request;
}

void RequestParser::refuse(int status, std::string message) {
  error_ = bad_request(std::move(message));
  error_.status = status;
  state_ = State::Refused;
}

}  // namespace shoal
