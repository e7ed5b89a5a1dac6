#include "coordinator/http/server.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_set>

#include "base/log.h"
#include "coordinator/http/auth.h"
#include "coordinator/http/connection.h"

namespace shoal {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

namespace {

constexpr std::chrono::milliseconds kSweep{50};         // how exact deadlines are
constexpr std::chrono::milliseconds kAcceptPause{100};  // when the process is out of file descriptors
constexpr std::size_t kRefusalSlots = 64;               // connections beyond the cap that still get a 503
constexpr int kSendBuffer = 128 * 1024;                 // in the kernel, beyond HttpLimits::unread_bytes

// Keeps the context alive for sinks that outlive the server.
Executor executor_of(std::shared_ptr<asio::io_context> context) {
  return [context = std::move(context)](std::function<void()> task) {
    if (!context->stopped()) asio::post(*context, std::move(task));
  };
}

// What one task throws (no memory, at worst) ends that task and not the hub.
void run(asio::io_context& context) {
  for (;;) {
    try {
      context.run();
      return;
    } catch (const std::exception& e) {
      log_error("http_task_failed", {{"what", e.what()}});
    }
  }
}

Result<asio::ip::address> parse_address(const HttpOptions& options) {
  if (options.address == "localhost") return asio::ip::address(asio::ip::address_v4::loopback());
  boost::system::error_code failure;
  const asio::ip::address address = asio::ip::make_address(options.address, failure);
  if (failure) {
    return fail(ErrorCode::InvalidArgument,
                "'" + options.address +
                    "' is not an IP address to serve HTTP on; use 127.0.0.1, or an address of "
                    "this machine together with an API key");
  }
  if (!address.is_loopback() && options.api.api_key.empty()) {
    return fail(ErrorCode::InvalidArgument,
                "serving HTTP on " + options.address +
                    " would open the API to the network without a key; set an API key, or bind 127.0.0.1");
  }
  return address;
}

Failure bind_failure(const tcp::endpoint& where, const boost::system::error_code& failure) {
  const std::string place = where.address().to_string() + " port " + std::to_string(where.port());
  if (failure == asio::error::address_in_use) {
    return fail(ErrorCode::Unavailable,
                "the port is taken: another program serves on " + place + "; stop it or choose another port");
  }
  return fail(ErrorCode::InvalidArgument, "cannot serve HTTP on " + place + ": " + failure.message());
}

void tune(tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::send_buffer_size(kSendBuffer), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const unsigned patience_ms = 30'000;  // a client whose machine vanished
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof patience_ms);
}

}  // namespace

class HttpServer::Listener {
 public:
  Listener(HttpOptions options, InferenceService& service, const Tokenizer& tokenizer,
           const ChatTemplate& chat_template)
      : limits_(options.limits),
        bodies_(std::make_shared<BodyBudget>(limits_.all_bodies_bytes)),
        api_(std::move(options.api), service, tokenizer, chat_template, executor_of(io_),
             executor_of(preparation_)) {}

  Status listen(const tcp::endpoint& where);
  void start();
  void stop();
  std::uint16_t port() const { return port_; }
  std::size_t num_connections() const { return num_connections_; }

 private:
  void accept();
  void admit(tcp::socket socket);
  void sweep();
  void forget(const std::shared_ptr<Connection>& connection);
  void begin_stop();
  void cut_all();

  std::shared_ptr<asio::io_context> io_ = std::make_shared<asio::io_context>(1);
  std::shared_ptr<asio::io_context> preparation_ = std::make_shared<asio::io_context>(1);
  asio::executor_work_guard<asio::io_context::executor_type> io_work_ = asio::make_work_guard(*io_);
  asio::executor_work_guard<asio::io_context::executor_type> preparation_work_ =
      asio::make_work_guard(*preparation_);
  HttpLimits limits_;
  std::shared_ptr<BodyBudget> bodies_;
  Api api_;
  tcp::acceptor acceptor_{*io_};
  asio::steady_timer sweep_timer_{*io_};
  asio::steady_timer accept_timer_{*io_};
  std::unordered_set<std::shared_ptr<Connection>> connections_;
  std::atomic<std::size_t> num_connections_{0};
  std::uint16_t port_ = 0;
  bool stopping_ = false;  // on the I/O thread

  std::mutex mutex_;
  std::condition_variable all_closed_;
  bool stopped_ = false;  // stop() was called
  std::thread io_thread_;
  std::thread preparation_thread_;
};

Status HttpServer::Listener::listen(const tcp::endpoint& where) {
  boost::system::error_code failure;
  acceptor_.open(where.protocol(), failure);
  if (!failure) acceptor_.set_option(tcp::acceptor::reuse_address(true), failure);
  if (!failure) acceptor_.bind(where, failure);
  if (!failure) acceptor_.listen(asio::socket_base::max_listen_connections, failure);
  if (failure) return bind_failure(where, failure);
  port_ = acceptor_.local_endpoint(failure).port();
  return {};
}

void HttpServer::Listener::start() {
  accept();
  sweep();
  io_thread_ = std::thread([this] { run(*io_); });
  preparation_thread_ = std::thread([this] { run(*preparation_); });
}

void HttpServer::Listener::accept() {
  acceptor_.async_accept([this](const boost::system::error_code& failure, tcp::socket socket) {
    if (stopping_ || failure == asio::error::operation_aborted) return;
    if (!failure) {
      admit(std::move(socket));
      return accept();
    }
    log_warn("accept_failed", {{"reason", failure.message()}});
    accept_timer_.expires_after(kAcceptPause);
    accept_timer_.async_wait([this](const boost::system::error_code& cancelled) {
      if (!cancelled && !stopping_) accept();
    });
  });
}

void HttpServer::Listener::admit(tcp::socket socket) {
  if (connections_.size() >= limits_.max_connections + kRefusalSlots) return;  // closed unanswered
  tune(socket);
  auto connection = std::make_shared<Connection>(std::move(socket), limits_, bodies_, api_,
                                                 [this](const auto& closed) { forget(closed); });
  connections_.insert(connection);
  num_connections_ = connections_.size();
  if (connections_.size() <= limits_.max_connections) return connection->start();
  connection->refuse(to_api_error(
      ErrorCode::Unavailable,
      "The server has " + std::to_string(limits_.max_connections) + " connections, as many as it may.",
      "too_many_connections"));
}

void HttpServer::Listener::forget(const std::shared_ptr<Connection>& connection) {
  connections_.erase(connection);
  const std::lock_guard lock(mutex_);
  num_connections_ = connections_.size();
  if (connections_.empty()) all_closed_.notify_all();
}

void HttpServer::Listener::sweep() {
  const auto now = Connection::Clock::now();
  const std::vector<std::shared_ptr<Connection>> present(connections_.begin(),
                                                         connections_.end());  // checks may close some
  for (const auto& connection : present) connection->check_deadlines(now);
  sweep_timer_.expires_after(kSweep);
  sweep_timer_.async_wait([this](const boost::system::error_code& cancelled) {
    if (!cancelled) sweep();
  });
}

void HttpServer::Listener::begin_stop() {
  stopping_ = true;
  boost::system::error_code ignored;
  acceptor_.close(ignored);
  accept_timer_.cancel();
  const std::vector<std::shared_ptr<Connection>> present(connections_.begin(), connections_.end());
  for (const auto& connection : present) connection->stop_soon();
}

void HttpServer::Listener::cut_all() {
  const std::vector<std::shared_ptr<Connection>> present(connections_.begin(), connections_.end());
  for (const auto& connection : present) connection->cut();
  sweep_timer_.cancel();
}

void HttpServer::Listener::stop() {
  {
    std::unique_lock lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    asio::post(*io_, [this] { begin_stop(); });
    all_closed_.wait_for(lock, limits_.linger_timeout, [this] { return num_connections_ == 0; });
  }
  preparation_->stop();
  preparation_thread_.join();
  asio::post(*io_, [this] {
    cut_all();
    asio::post(*io_, [this] { io_->stop(); });  // behind the handlers that closing has made ready
  });
  io_thread_.join();
}

HttpServer::HttpServer(std::unique_ptr<Listener> listener) : listener_(std::move(listener)) {}

HttpServer::~HttpServer() { stop(); }

Result<std::unique_ptr<HttpServer>> HttpServer::open(HttpOptions options, InferenceService& service,
                                                     const Tokenizer& tokenizer,
                                                     const ChatTemplate& chat_template) {
  const Result<asio::ip::address> address = parse_address(options);
  if (!address) return fail(address.error());
  const tcp::endpoint where(*address, options.port);
  auto listener = std::make_unique<Listener>(std::move(options), service, tokenizer, chat_template);
  if (const Status bound = listener->listen(where); !bound) return fail(bound.error());
  listener->start();
  log_info("http_listening", {{"address", where.address().to_string()}, {"port", listener->port()}});
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(listener)));
}

std::uint16_t HttpServer::port() const { return listener_->port(); }
std::size_t HttpServer::num_connections() const { return listener_->num_connections(); }
void HttpServer::stop() { listener_->stop(); }

}  // namespace shoal
