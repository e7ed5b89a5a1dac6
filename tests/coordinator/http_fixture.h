#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "coordinator/http/server.h"
#include "coordinator/inference.h"
#include "tests/coordinator/http_client.h"
#include "tests/support/tiny_model.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace shoal {

// The cluster as HTTP sees it: takes requests, and answers with what the test says, on a thread of its own as
// the reactor does.
class ScriptedService final : public InferenceService {
 public:
  using Script = std::function<std::vector<InferenceEvent>(const InferenceRequest&)>;

  ScriptedService();
  ~ScriptedService() override;

  // Every later request is answered with the script's events; none: requests wait for send().
  void set_script(Script script);
  void set_health(Health health);
  void set_max_context(std::uint32_t positions);
  void set_full(bool full);  // submit fails: Unavailable

  bool wait_for_requests(std::size_t count) const;
  bool wait_for_cancels(std::size_t count,
                        std::chrono::milliseconds patience = std::chrono::seconds(5)) const;
  std::size_t num_cancels() const;
  InferenceRequest request(std::size_t i) const;  // in the order of submission
  void send(std::size_t i, InferenceEvent event);

  Result<RequestId> submit(InferenceRequest request, InferenceSink sink) override;
  void cancel(RequestId id) override;
  Health health() const override;
  std::string cluster_json() const override { return R"({"devices":[],"epoch":"1.2"})"; }
  std::uint32_t max_context() const override;

 private:
  void run();
  void post(std::function<void()> task);

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Script script_;
  Health health_{.ready = true, .state = "ready", .detail = "", .progress = 1};
  std::uint32_t max_context_ = 128;
  bool full_ = false;
  std::vector<InferenceRequest> requests_;
  std::vector<InferenceSink> sinks_;
  std::size_t num_cancels_ = 0;
  std::vector<std::function<void()>> tasks_;
  bool stopping_ = false;
  std::thread thread_;
};

TokenEvent token_event(std::uint32_t index, TokenId id, std::string text, float logprob = -0.5f,
                       std::vector<TokenTop> top = {});
FinishedEvent finished_event(std::uint32_t prompt_tokens, std::uint32_t completion_tokens,
                             FinishReason reason = FinishReason::Stop, std::string rest = {});
// Tokens whose texts are `words`, then the end.
std::vector<InferenceEvent> words_then_end(const InferenceRequest& request,
                                           const std::vector<std::string>& words);

// A server over a tiny model's tokenizer, on a free port.
class HttpFixture {
 public:
  static const Tokenizer& tokenizer();
  static const ChatTemplate& chat_template();
  static HttpOptions options();

  explicit HttpFixture(const HttpOptions& http_options = options());
  std::uint16_t port() const { return server->port(); }
  std::vector<TokenId> encode(std::string_view text, bool parse_special = false) const;

  ScriptedService service;
  std::unique_ptr<HttpServer> server;
};

}  // namespace shoal
