#pragma once

// Included only by server.cpp and connection.cpp, the home of Boost.Asio.
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "coordinator/http/api.h"
#include "coordinator/http/body_budget.h"
#include "coordinator/http/http_limits.h"
#include "coordinator/http/request_parser.h"
#include "coordinator/http/response_head.h"

namespace shoal {

class ConnectionExchange;

// One client's socket: reads requests, has them answered one at a time, writes the answers. It reads on while
// an answer runs, so that a client's leaving is seen at once. Everything on the I/O thread.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  using Clock = std::chrono::steady_clock;
  using OnClosed = std::function<void(const std::shared_ptr<Connection>&)>;

  Connection(boost::asio::ip::tcp::socket socket, const HttpLimits& limits,
             std::shared_ptr<BodyBudget> bodies, Api& api, OnClosed on_closed);

  void start();
  void refuse(const ApiError& error);  // instead of start: an answer to whatever the client asks
  void check_deadlines(Clock::time_point now);
  void stop_soon();  // ends a running answer with an error; closes once that is written
  void cut();        // at once

 private:
  friend class ConnectionExchange;
  enum class Phase { Reading, Answering, Streaming, Lingering, Closed };

  void read_more();
  void on_read(const boost::system::error_code& failure, std::size_t size);
  void advance();
  bool take_request();
  bool make_room_for_body();
  void on_head();
  void on_complete();
  void refuse_request(const HttpResponse& response);

  void send_response(HttpResponse response);
  void start_stream();
  void write_stream(std::string_view bytes);
  void end_stream(bool broken);
  void answer_complete();

  void queue(std::string_view bytes);
  void write_more();
  void on_written(const boost::system::error_code& failure, std::size_t size);
  std::chrono::milliseconds write_patience() const;
  std::size_t unsent_bytes() const { return writing_.size() - written_ + pending_.size(); }
  void linger();
  void begin_idle();

  boost::asio::ip::tcp::socket socket_;
  const HttpLimits& limits_;
  std::shared_ptr<BodyBudget> bodies_;
  Api& api_;
  OnClosed on_closed_;
  RequestParser parser_;
  std::shared_ptr<BodyPlace> body_place_;         // of the request that is being received
  std::shared_ptr<ConnectionExchange> exchange_;  // of the answer that runs

  Phase phase_ = Phase::Reading;
  bool head_judged_ = false;
  bool keep_alive_ = true;
  bool is_http_1_1_ = true;
  bool omit_body_ = false;  // HEAD
  bool close_when_written_ = false;
  bool reading_ = false;
  bool half_closed_ = false;  // the client will send no more
  bool advancing_ = false;
  bool stopping_ = false;
  std::vector<std::pair<std::string, std::string>> origin_headers_;

  std::array<char, 16 * 1024> chunk_{};
  std::string input_;
  std::string pending_;  // waits for writing_ to be written
  std::string writing_;
  std::size_t written_ = 0;  // of writing_
  Clock::time_point read_deadline_ = Clock::time_point::max();
  Clock::time_point write_begun_{};  // of the piece under way
};

}  // namespace shoal
