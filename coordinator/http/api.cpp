#include "coordinator/http/api.h"

#include "base/log.h"
#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

// Whatever a library throws while a body is being read ends here, as an answer.
template <typename T, typename Make>
Parsed<T> guarded(const std::string& body, Make make) {
  try {
    Result<JsonValue> json = read_json(body);
    if (!json) return bad_request(json.error().message(), {}, "invalid_json");
    return make(*json);
  } catch (const std::exception& e) {
    log_error("request_preparation_failed", {{"what", e.what()}});
    return server_broke(std::string("The request could not be prepared: ") + e.what());
  }
}

}  // namespace

HttpResponse json_response(std::string body) { return {200, "application/json", std::move(body), {}}; }

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{error.status, "application/json", error.to_json(), {}};
  if (error.retry_after_seconds > 0)
    response.headers.emplace_back("Retry-After", std::to_string(error.retry_after_seconds));
  if (error.status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
  if (!error.allow.empty()) response.headers.emplace_back("Allow", error.allow);
  return response;
}

Api::Api(ApiOptions options, InferenceService& service, const Tokenizer& tokenizer,
         const ChatTemplate& chat_template, Executor io, Executor preparation)
    : options_(std::move(options)),
      service_(service),
      tokenizer_(tokenizer),
      chat_template_(chat_template),
      control_text_(tokenizer),
      io_(std::move(io)),
      preparation_(std::move(preparation)) {}

std::string Api::model_object() const {
  JsonWriter out;
  out.begin_object().member("id", options_.model_id).member("object", "model");
  out.member("created", options_.created).member("owned_by", "shoal");
  out.key("meta")
      .begin_object()
      .member("n_ctx", service_.max_context())
      .member("n_vocab", tokenizer_.vocab_size())
      .member("has_chat_template", options_.has_chat_template);
  if (options_.model_parameters != 0) out.member("n_params", options_.model_parameters);
  if (options_.model_bytes != 0) out.member("size", options_.model_bytes);
  return out.end_object().end_object().take();
}

HttpResponse Api::models(const HttpRequest&) const {
  JsonWriter out;
  out.begin_object().member("object", "list").raw_member("data", "[" + model_object() + "]").end_object();
  return json_response(out.take());
}

HttpResponse Api::model(const HttpRequest& request) const {
  const std::string id = path_of_target(request.target).substr(std::string_view("/v1/models/").size());
  if (id == options_.model_id) return json_response(model_object());
  ApiError error = not_found(
      "The model '" + id.substr(0, 255) + "' does not exist; this server has '" + options_.model_id + "'.",
      "model_not_found");
  error.param = "model";
  return error_response(error);
}

HttpResponse Api::health(const HttpRequest&) const {
  const InferenceService::Health health = service_.health();
  JsonWriter out;
  out.begin_object().member("status", health.ready ? "ok" : "unavailable").member("state", health.state);
  out.member("detail", health.detail).member("progress", health.progress).end_object();
  HttpResponse response = json_response(out.take());
  if (health.ready) return response;
  response.status = 503;
  response.headers.emplace_back("Retry-After", "1");
  return response;
}

HttpResponse Api::version(const HttpRequest&) const {
  JsonWriter out;
  out.begin_object().member("name", "shoal").member("version", options_.version).end_object();
  return json_response(out.take());
}

HttpResponse Api::cluster(const HttpRequest&) const { return json_response(service_.cluster_json()); }

void Api::prepare_answer(std::shared_ptr<Exchange> exchange,
                         Parsed<HttpResponse> (Api::*answer)(const JsonValue&) const) {
  preparation_([this, exchange, answer, body = exchange->take_body()] {
    Parsed<HttpResponse> made =
        guarded<HttpResponse>(body.bytes, [&](const JsonValue& json) { return (this->*answer)(json); });
    io_([exchange, made = std::move(made)] {
      const ApiError* error = std::get_if<ApiError>(&made);
      exchange->reply(error != nullptr ? error_response(*error) : std::get<0>(made));
    });
  });
}

void Api::prepare_generation(std::shared_ptr<Exchange> exchange,
                             Parsed<GenerationPlan> (Api::*plan)(const JsonValue&) const) {
  preparation_([this, exchange, plan, body = exchange->take_body()] {
    // Shared, as tasks are copyable and plans are not.
    auto made = std::make_shared<Parsed<GenerationPlan>>(
        guarded<GenerationPlan>(body.bytes, [&](const JsonValue& json) { return (this->*plan)(json); }));
    io_([this, exchange, made] {
      if (const ApiError* error = std::get_if<ApiError>(made.get()))
        return exchange->reply(error_response(*error));
      Generation::run(std::get<0>(std::move(*made)), exchange, service_, io_);
    });
  });
}

AnswerEnvelope Api::make_envelope(ApiKind api, const AnswerOptions& options) const {
  return {.api = api,
          .streamed = options.stream,
          .include_usage = options.include_usage,
          .id = make_answer_id(api),
          .created = unix_seconds(),
          .model = options_.model_id,
          .fingerprint = options_.fingerprint};
}

Parsed<InferenceRequest> Api::make_request(std::vector<TokenId> prompt, const AnswerOptions& options,
                                           std::uint32_t default_max, std::string_view param) const {
  const std::size_t max_context = service_.max_context();
  if (max_context == 0) {  // no plan yet
    return to_api_error(ErrorCode::Unavailable, "The cluster is not ready: " + service_.health().detail + ".",
                        "not_ready");
  }
  if (prompt.empty()) return bad_request("The prompt has no tokens.", std::string(param), "empty_prompt");

  const std::size_t least = options.max_tokens ? *options.max_tokens : 1;
  if (prompt.size() + least > max_context)
    return context_overflow(std::string(param), prompt.size(), least, max_context);
  const auto room = static_cast<std::uint32_t>(max_context - prompt.size());
  InferenceRequest request;
  request.max_tokens = options.max_tokens ? *options.max_tokens
                       : default_max == 0 ? room
                                          : std::min(default_max, room);
  request.prompt = std::move(prompt);
  request.sampling = options.sampling;
  request.has_seed = options.has_seed;
  request.stop = options.stop;
  request.ignore_end = options.ignore_end;
  request.digest = options.digest;
  return request;
}

std::uint64_t seed_of_choice(std::uint64_t seed, std::uint32_t choice) {
  return seed +
         choice *
             0x9E3779B97F4A7C15ULL;  // 2^64 / golden ratio: far apart, and never equal for distinct choices
}

}  // namespace shoal
