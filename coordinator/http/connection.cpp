#include "coordinator/http/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include "base/log.h"

namespace shoal {

namespace asio = boost::asio;

namespace {

constexpr std::size_t kWritePiece = 64 * 1024;  // what one write timeout covers

}  // namespace

// The handlers' view of one request on the connection. Outlives it harmlessly.
class ConnectionExchange final : public Exchange {
 public:
  ConnectionExchange(std::shared_ptr<Connection> connection, HttpRequest request)
      : connection_(std::move(connection)), request_(std::move(request)) {}

  const HttpRequest& request() const override { return request_; }
  RequestBody take_body() override { return {std::move(request_.body), std::move(request_.body_place)}; }
  bool closed() const override { return connection_ == nullptr; }

  void reply(HttpResponse response) override {
    if (const auto connection = finish()) connection->send_response(std::move(response));
  }
  void start_stream() override {
    if (connection_) connection_->start_stream();
  }
  void write(std::string_view bytes) override {
    if (const auto connection = connection_) connection->write_stream(bytes);
  }
  void end_stream(StreamEnd how) override {
    if (const auto connection = finish()) connection->end_stream(how == StreamEnd::Broken);
  }
  void on_closed(std::function<void()> handler) override { on_closed_ = std::move(handler); }
  void on_stopping(std::function<void()> handler) override { on_stopping_ = std::move(handler); }

  void client_gone() {
    const auto handler = std::move(on_closed_);
    finish();
    if (handler) handler();
  }
  void server_stops() {
    if (const auto handler = std::move(on_stopping_)) return handler();
    reply(error_response(
        to_api_error(ErrorCode::Unavailable, "The server is shutting down.", "shutting_down")));
  }

 private:
  // After this the answerer and the connection no longer keep each other alive.
  std::shared_ptr<Connection> finish() {
    on_closed_ = nullptr;
    on_stopping_ = nullptr;
    return std::move(connection_);
  }

  std::shared_ptr<Connection> connection_;
  HttpRequest request_;
  std::function<void()> on_closed_;
  std::function<void()> on_stopping_;
};

Connection::Connection(asio::ip::tcp::socket socket, const HttpLimits& limits,
                       std::shared_ptr<BodyBudget> bodies, Api& api, OnClosed on_closed)
    : socket_(std::move(socket)),
      limits_(limits),
      bodies_(std::move(bodies)),
      api_(api),
      on_closed_(std::move(on_closed)),
      parser_(limits) {}

void Connection::start() {
  read_deadline_ = Clock::now() + limits_.header_timeout;
  read_more();
}

void Connection::refuse(const ApiError& error) {
  refuse_request(error_response(error));
  read_more();
}

// ---- reading

void Connection::read_more() {
  const bool far_ahead = phase_ != Phase::Lingering && input_.size() >= limits_.pipelined_bytes;
  if (reading_ || half_closed_ || phase_ == Phase::Closed || far_ahead) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(chunk_),
                          [self = shared_from_this()](const boost::system::error_code& failure,
                                                      std::size_t size) { self->on_read(failure, size); });
}

void Connection::on_read(const boost::system::error_code& failure, std::size_t size) {
  reading_ = false;
  if (phase_ == Phase::Closed) return;
  // A client that only ended its own sending may still read an answer that lies ready; a running one is of no
  // use to who has left.
  const bool answer_lies_ready = failure == asio::error::eof && !exchange_ && unsent_bytes() > 0;
  if (failure && !answer_lies_ready) return cut();
  if (failure) {
    half_closed_ = close_when_written_ = true;
    return;
  }
  if (phase_ != Phase::Lingering) {
    input_.append(chunk_.data(), size);
    advance();
  }
  read_more();
}

// Reads and answers requests for as long as there are bytes; answers may complete at once.
void Connection::advance() {
  if (advancing_) return;
  advancing_ = true;
  while (phase_ == Phase::Reading && !input_.empty() && unsent_bytes() <= limits_.unread_bytes) {
    if (!take_request()) break;
  }
  advancing_ = false;
}

// False: the request's rest is still to come.
bool Connection::take_request() {
  if (!head_judged_ && read_deadline_ > Clock::now() + limits_.header_timeout)
    read_deadline_ = Clock::now() + limits_.header_timeout;
  const RequestParser::State state = parser_.feed(input_);
  if (state == RequestParser::State::Refused) {
    refuse_request(error_response(parser_.error()));
    return false;
  }
  if (state == RequestParser::State::Head) return false;
  if (!head_judged_) on_head();
  if (phase_ != Phase::Reading || !make_room_for_body()) return false;
  if (state != RequestParser::State::Complete) return false;
  on_complete();
  return true;
}

// False: all clients' bodies together are too much, and the request is refused.
bool Connection::make_room_for_body() {
  if (parser_.body_bytes() == 0) return true;
  if (!body_place_) body_place_ = std::make_shared<BodyPlace>(bodies_);
  if (body_place_->grow_to(parser_.body_bytes())) return true;
  body_place_.reset();
  refuse_request(error_response(to_api_error(
      ErrorCode::Unavailable, "The server holds as many bytes of requests as it may: try again later.",
      "too_many_requests")));
  return false;
}

void Connection::on_head() {
  head_judged_ = true;
  read_deadline_ = Clock::now() + limits_.body_timeout;
  const HttpRequest& head = parser_.head();
  is_http_1_1_ = head.is_http_1_1;
  keep_alive_ = parser_.keep_alive() && !stopping_;
  omit_body_ = head.method == "HEAD";
  origin_headers_ = api_.origin_headers(head);
  const bool is_complete = parser_.state() == RequestParser::State::Complete;
  if (const std::optional<HttpResponse> refusal = api_.refuse(head)) {
    if (!is_complete) return refuse_request(*refusal);
    return;  // on_complete sends it, and the connection stays usable
  }
  if (parser_.expects_continue() && !is_complete) queue("HTTP/1.1 100 Continue\r\n\r\n");
}

void Connection::on_complete() {
  head_judged_ = false;
  read_deadline_ = Clock::time_point::max();
  phase_ = Phase::Answering;
  HttpRequest request = parser_.take();
  request.body_place = std::move(body_place_);
  if (const std::optional<HttpResponse> refusal = api_.refuse(request)) return send_response(*refusal);
  exchange_ = std::make_shared<ConnectionExchange>(shared_from_this(), std::move(request));
  api_.handle(exchange_);
}

// An answer to a request whose end is unknown: the connection cannot be used after it.
void Connection::refuse_request(const HttpResponse& response) {
  keep_alive_ = false;
  phase_ = Phase::Answering;
  input_.clear();
  send_response(response);
}

// ---- answering

void Connection::send_response(HttpResponse response) {
  if (phase_ == Phase::Closed) return;
  for (const auto& header : origin_headers_) response.headers.push_back(header);
  queue(response_head(response, {is_http_1_1_, keep_alive_, ResponseFraming::Body::Length}));
  if (!omit_body_) queue(response.body);
  answer_complete();
}

void Connection::start_stream() {
  if (phase_ != Phase::Answering) return;
  phase_ = Phase::Streaming;
  keep_alive_ = keep_alive_ && is_http_1_1_;
  HttpResponse response{
      200, "text/event-stream", {}, {{"Cache-Control", "no-cache"}, {"X-Accel-Buffering", "no"}}};
  for (const auto& header : origin_headers_) response.headers.push_back(header);
  const auto body = is_http_1_1_ ? ResponseFraming::Body::Chunked : ResponseFraming::Body::UntilClose;
  queue(response_head(response, {is_http_1_1_, keep_alive_, body}));
}

void Connection::write_stream(std::string_view bytes) {
  if (phase_ != Phase::Streaming) return;
  queue(is_http_1_1_ ? http_chunk(bytes) : bytes);
  if (unsent_bytes() <= limits_.most_unread_bytes) return;
  log_warn("slow_client_cut", {{"unread_bytes", unsent_bytes()}});
  cut();
}

void Connection::end_stream(bool broken) {
  if (phase_ != Phase::Streaming) return;
  if (is_http_1_1_) queue(kLastHttpChunk);
  if (broken) keep_alive_ = false;
  answer_complete();
}

void Connection::answer_complete() {
  exchange_.reset();
  if (phase_ == Phase::Closed) return;
  if (keep_alive_ && !stopping_) return begin_idle();
  close_when_written_ = true;
  if (unsent_bytes() == 0) linger();
}

void Connection::begin_idle() {
  phase_ = Phase::Reading;
  head_judged_ = false;
  omit_body_ = false;
  origin_headers_.clear();
  read_deadline_ = Clock::now() + limits_.idle_timeout;
  advance();
  read_more();
}

// The response lies in the client's hands before the socket is closed: a close over unread bytes would take
// it back.
void Connection::linger() {
  if (phase_ == Phase::Lingering || phase_ == Phase::Closed) return;
  if (half_closed_) return cut();
  phase_ = Phase::Lingering;
  boost::system::error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  read_deadline_ = Clock::now() + limits_.linger_timeout;
  read_more();
}

// ---- writing

void Connection::queue(std::string_view bytes) {
  if (phase_ == Phase::Closed || bytes.empty()) return;
  pending_ += bytes;
  if (writing_.empty()) write_more();
}

void Connection::write_more() {
  if (written_ == writing_.size()) {
    writing_.clear();
    if (writing_.capacity() > 4 * kWritePiece)
      writing_ = {};  // one large answer must not cost its memory for ever
    written_ = 0;
    writing_.swap(pending_);
  }
  if (writing_.empty()) return;
  write_begun_ = Clock::now();
  const std::size_t size = std::min(kWritePiece, writing_.size() - written_);
  asio::async_write(socket_, asio::buffer(writing_.data() + written_, size),
                    [self = shared_from_this()](const boost::system::error_code& failure, std::size_t done) {
                      self->on_written(failure, done);
                    });
}

void Connection::on_written(const boost::system::error_code& failure, std::size_t size) {
  if (phase_ == Phase::Closed) return;
  if (failure) return cut();
  written_ += size;
  write_more();
  if (!writing_.empty()) return;
  if (close_when_written_) return linger();
  advance();  // requests that waited for the client to read
  read_more();
}

// ---- ending

// How long one piece may take.
std::chrono::milliseconds Connection::write_patience() const {
  const bool is_far_behind = unsent_bytes() > limits_.unread_bytes;
  return is_far_behind ? std::min(limits_.unread_timeout, limits_.write_timeout) : limits_.write_timeout;
}

void Connection::check_deadlines(Clock::time_point now) {
  if (!writing_.empty() && now >= write_begun_ + write_patience()) {
    log_warn("slow_client_cut", {{"unread_bytes", unsent_bytes()}});
    return cut();
  }
  if (now < read_deadline_) return;
  const bool is_partial = head_judged_ || !input_.empty();
  if (phase_ != Phase::Reading || !is_partial) return cut();
  ApiError error = bad_request("The request did not arrive in time.", {}, "request_timeout");
  error.status = 408;
  read_deadline_ = Clock::time_point::max();
  refuse_request(error_response(error));
}

void Connection::stop_soon() {
  stopping_ = true;
  keep_alive_ = false;
  if (const auto exchange = exchange_) return exchange->server_stops();
  if (phase_ != Phase::Reading) return;
  if (unsent_bytes() == 0) return cut();
  phase_ = Phase::Answering;  // no further request
  close_when_written_ = true;
}

void Connection::cut() {
  if (phase_ == Phase::Closed) return;
  const auto self = shared_from_this();
  phase_ = Phase::Closed;
  boost::system::error_code ignored;
  socket_.close(ignored);
  if (const auto exchange = std::move(exchange_)) exchange->client_gone();
  on_closed_(self);
}

}  // namespace shoal
