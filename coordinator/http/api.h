#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/http/control_text.h"
#include "coordinator/http/exchange.h"
#include "coordinator/http/generation.h"
#include "coordinator/http/json_value.h"
#include "coordinator/http/openai_request.h"
#include "coordinator/inference.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace shoal {

struct ApiOptions {
  std::string model_id;
  std::string version;
  std::string fingerprint;  // "system_fingerprint"; what an answer's bits depend on besides the request
  std::uint64_t model_parameters = 0;  // shown by /v1/models; 0: left out
  std::uint64_t model_bytes = 0;
  bool has_chat_template = true;           // false: the file carries none, chat is a makeshift
  std::int64_t created = 0;                // Unix seconds
  std::string api_key;                     // empty: none is asked for
  std::vector<std::string> allowed_hosts;  // besides IP addresses and localhost
  std::vector<std::string>
      allowed_origins;  // pages whose scripts may call us ("https://ui.example"); none by default
};

// The OpenAI endpoints and our own, between the HTTP server and the cluster. Requests come and answers leave
// on the I/O thread; bodies are read, templates run and texts tokenised on the preparation thread, so that a
// long prompt delays nobody's tokens. The references given to the constructor outlive it; it outlives both
// threads' tasks.
class Api {
 public:
  Api(ApiOptions options, InferenceService& service, const Tokenizer& tokenizer,
      const ChatTemplate& chat_template, Executor io, Executor preparation);

  // Judges a request by its head, before its body is received: host, key, path, method, content type. A
  // response here is final.
  std::optional<HttpResponse> refuse(const HttpRequest& head) const;

  // Answers a request that refuse() let through. I/O thread.
  void handle(std::shared_ptr<Exchange> exchange);

  // Cross-origin headers for a response to `head`; empty unless its origin is allowed.
  std::vector<std::pair<std::string, std::string>> origin_headers(const HttpRequest& head) const;

 private:
  struct Route;
  static const std::vector<Route>& routes();
  static const Route* find_route(std::string_view method, std::string_view path);
  static std::string methods_of(std::string_view path);  // "GET, HEAD"; empty: no such path

  // Immediate answers (api.cpp).
  HttpResponse models(const HttpRequest& request) const;
  HttpResponse model(const HttpRequest& request) const;
  HttpResponse health(const HttpRequest& request) const;
  HttpResponse version(const HttpRequest& request) const;
  HttpResponse cluster(const HttpRequest& request) const;
  std::string model_object() const;

  // Answers made from a body on the preparation thread.
  Parsed<HttpResponse> tokenize(const JsonValue& body) const;  // text_endpoints.cpp
  Parsed<HttpResponse> detokenize(const JsonValue& body) const;
  Parsed<GenerationPlan> plan_chat(const JsonValue& body) const;        // chat.cpp
  Parsed<GenerationPlan> plan_completion(const JsonValue& body) const;  // completions.cpp

  void prepare_answer(std::shared_ptr<Exchange> exchange,
                      Parsed<HttpResponse> (Api::*answer)(const JsonValue&) const);
  void prepare_generation(std::shared_ptr<Exchange> exchange,
                          Parsed<GenerationPlan> (Api::*plan)(const JsonValue&) const);

  RequestLimits limits() const { return {options_.model_id, tokenizer_.vocab_size()}; }
  AnswerEnvelope make_envelope(ApiKind api, const AnswerOptions& options) const;
  // The request with its answer's length settled, or why the context cannot hold it. default_max 0: all that
  // is left.
  Parsed<InferenceRequest> make_request(std::vector<TokenId> prompt, const AnswerOptions& options,
                                        std::uint32_t default_max, std::string_view param) const;

  ApiOptions options_;
  InferenceService& service_;
  const Tokenizer& tokenizer_;
  const ChatTemplate& chat_template_;
  ControlText control_text_;
  Executor io_;
  Executor preparation_;
};

// The seed of the j-th of n answers to one prompt: the request's own for the first.
std::uint64_t seed_of_choice(std::uint64_t seed, std::uint32_t choice);

// A target's path without its query, percent-decoded; and the host of a target in absolute form
// ("http://host/path").
std::string path_of_target(std::string_view target);
std::optional<std::string> host_of_target(std::string_view target);

}  // namespace shoal
