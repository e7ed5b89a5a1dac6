#include "cli/chat_stream.h"

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/counted.h"

namespace shoal {
namespace {

using Json = nlohmann::json;

std::string request_json(const ChatQuestion& question) {
  Json messages = Json::array();
  for (const ChatTurn& turn : question.turns)
    messages.push_back({{"role", turn.role}, {"content", turn.content}});
  Json request = {
      {"messages", std::move(messages)}, {"stream", true}, {"stream_options", {{"include_usage", true}}}};
  if (!question.model.empty()) request["model"] = question.model;
  if (question.max_tokens) request["max_tokens"] = *question.max_tokens;
  const auto add = [&](const char* field, const auto& value) {
    if (value) request[field] = *value;
  };
  add("temperature", question.temperature);
  add("top_p", question.top_p);
  add("top_k", question.top_k);
  add("min_p", question.min_p);
  add("repeat_penalty", question.repeat_penalty);
  if (question.seed) request["seed"] = *question.seed;
  return request.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Takes a stream's events and keeps what they add up to.
class AnswerReader {
 public:
  explicit AnswerReader(const std::function<void(std::string_view)>& on_text)
      : on_text_(on_text), sent_(SteadyClock().now()) {}

  void take(std::string_view data) {
    if (data == "[DONE]") {
      done_ = true;
      return;
    }
    const Json event = Json::parse(data, nullptr, /*allow_exceptions=*/false);
    if (!event.is_object()) return;
    try {
      take_event(event);
    } catch (const Json::exception&) {
      // A field of another type than the API's: nothing of ours, passed over like an unknown field.
    }
  }

  Result<ChatAnswer> finish(bool stopped) {
    answer_.stopped = stopped;
    if (!error_.empty()) return fail(ErrorCode::Unavailable, error_);
    if (!done_ && !stopped)
      return fail(ErrorCode::Unavailable, "the connection broke before the answer's end");
    if (num_pieces_ > 0) answer_.seconds_to_first = seconds(first_ - sent_);
    if (num_pieces_ > 1) answer_.seconds_after_first = seconds(last_ - first_);
    if (answer_.num_tokens == 0) answer_.num_tokens = num_pieces_;
    return std::move(answer_);
  }

 private:
  void take_event(const Json& event) {
    if (event.contains("error")) {
      error_ = "the answer broke off";
      error_ = event["error"].value("message", error_);
    }
    if (event.contains("usage") && event["usage"].is_object()) {
      answer_.num_tokens = event["usage"].value("completion_tokens", answer_.num_tokens);
    }
    if (event.contains("choices") && event["choices"].is_array() && !event["choices"].empty())
      take_choice(event["choices"][0]);
  }

  void take_choice(const Json& choice) {
    if (!choice.is_object()) return;
    if (choice.contains("finish_reason") && choice["finish_reason"].is_string())
      answer_.finish_reason = choice["finish_reason"];
    if (!choice.contains("delta") || !choice["delta"].is_object()) return;
    const Json& delta = choice["delta"];
    if (!delta.contains("content") || !delta["content"].is_string()) return;
    const auto& text = delta["content"].get_ref<const std::string&>();
    if (text.empty()) return;
    last_ = SteadyClock().now();
    if (num_pieces_++ == 0) first_ = last_;
    answer_.text += text;
    on_text_(text);
  }

  const std::function<void(std::string_view)>& on_text_;
  ChatAnswer answer_;
  Time sent_;
  Time first_{};
  Time last_{};
  std::uint64_t num_pieces_ = 0;
  std::string error_;
  bool done_ = false;
};

}  // namespace

double ChatAnswer::tokens_per_second() const {
  return num_tokens > 1 && seconds_after_first > 0 ? static_cast<double>(num_tokens - 1) / seconds_after_first
                                                   : 0;
}

Result<ChatAnswer> stream_chat(HttpClient& client, const ChatQuestion& question,
                               const std::function<void(std::string_view)>& on_text,
                               const std::atomic<bool>* stop) {
  AnswerReader reader(on_text);
  const auto on_event = [&](std::string_view data) { reader.take(data); };
  const Result<HttpClient::Response> response =
      client.stream("/v1/chat/completions", request_json(question), on_event, stop);
  if (!response) return fail(response.error());
  const bool stopped = stop && *stop;
  if (response->status != 200 && !stopped) {
    const bool is_too_long = response->body.find("context_length_exceeded") != std::string::npos;
    return fail(is_too_long ? ErrorCode::OutOfMemory : ErrorCode::Unavailable, error_message_of(*response));
  }
  return reader.finish(stopped);
}

std::string describe_speed(const ChatAnswer& answer) {
  char speed[48] = "";
  char first[48] = "";
  if (answer.tokens_per_second() > 0)
    std::snprintf(speed, sizeof speed, ", %.1f tok/s", answer.tokens_per_second());
  if (answer.num_tokens > 0)
    std::snprintf(first, sizeof first, ", first after %.2f s", answer.seconds_to_first);
  return counted(answer.num_tokens, "token") + speed + first;
}

}  // namespace shoal
