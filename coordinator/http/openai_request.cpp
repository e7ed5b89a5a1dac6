#include "coordinator/http/openai_request.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "coordinator/http/field_reader.h"

namespace shoal {
namespace {

constexpr std::uint32_t kWholeContext = 1U << 24;  // more positions than any context has

void read_model(FieldReader& in, std::string_view served) {
  std::string model;
  in.read("model", model);
  if (!in.ok() || model.empty() || model == served) return;
  ApiError error = not_found("The model '" + model.substr(0, 255) + "' does not exist; this server has '" +
                                 std::string(served) + "'.",
                             "model_not_found");
  error.param = "model";
  in.refuse(std::move(error));
}

void read_max_tokens(FieldReader& in, AnswerOptions& options) {
  for (const char* name : {"max_tokens", "max_completion_tokens"}) {  // the newer name wins
    if (const auto value = in.integer(name)) options.max_tokens = static_cast<std::uint32_t>(*value);
  }
}

void read_stop(FieldReader& in, std::vector<std::string>& out) {
  const JsonValue* stop = in.find("stop");
  if (stop == nullptr) return;
  if (const std::string* one = stop->string()) {
    out.push_back(*one);
  } else if (const JsonValue::Array* list = stop->array()) {
    for (const JsonValue& item : *list) {
      if (item.string() == nullptr) return in.refuse_type("stop", "a string or a list of strings", item);
      out.push_back(*item.string());
    }
  } else {
    return in.refuse_type("stop", "a string or a list of strings", *stop);
  }
  if (out.size() > kMaxStopStrings)
    in.refuse("stop", "'stop' may hold at most 4 strings.", "array_above_max_length");
  for (const std::string& text : out) {
    if (text.empty()) in.refuse("stop", "A stop string must not be empty.");
    if (text.size() > kMaxStopBytes)
      in.refuse("stop", "A stop string may have at most 512 bytes.", "string_above_max_length");
  }
}

void read_logit_bias(FieldReader& in, std::size_t vocab_size, std::vector<LogitBias>& out) {
  const JsonValue* map = in.find("logit_bias");
  if (map == nullptr) return;
  if (map->object() == nullptr)
    return in.refuse_type("logit_bias", "an object of token ids and numbers", *map);
  if (map->object()->size() > kMaxLogitBias) {
    return in.refuse("logit_bias",
                     "'logit_bias' may name at most " + std::to_string(kMaxLogitBias) + " tokens.");
  }
  for (const JsonMember& member : *map->object()) {
    TokenId id = -1;
    const char* end = member.key.data() + member.key.size();
    const auto parsed = std::from_chars(member.key.data(), end, id);
    if (parsed.ec != std::errc() || parsed.ptr != end || id < 0 ||
        static_cast<std::size_t>(id) >= vocab_size) {
      return in.refuse("logit_bias", "'logit_bias' names '" + member.key.substr(0, 64) +
                                         "', which is no token id: ids are 0 to " +
                                         std::to_string(vocab_size - 1) + ".");
    }
    const std::optional<double> bias = in.real_in(&member.value, "logit_bias", "logit_bias");
    if (!bias) return;
    out.push_back({id, static_cast<float>(*bias)});
  }
  // One bias a token: the last one of a repeated key counts, as elsewhere in JSON.
  std::ranges::stable_sort(out, {}, &LogitBias::id);
  const auto same_id = [](const LogitBias& a, const LogitBias& b) { return a.id == b.id; };
  out.erase(out.begin(), std::unique(out.rbegin(), out.rend(), same_id).base());
}

// Small models wander off at the API's own default of 1: a request that says nothing of how to sample gets
// what their makers recommend. One that says anything gets exactly that, and the API's defaults for the rest.
constexpr float kUsualTemperature = 0.2f;
constexpr float kUsualTopP = 0.9f;

void choose_usual_sampling(const FieldReader& in, SamplingParams& out) {
  for (const char* field : {"temperature", "top_p", "top_k", "min_p", "typical_p"}) {
    if (in.find(field) != nullptr) return;
  }
  out.temperature = kUsualTemperature;
  out.top_p = kUsualTopP;
}

void read_sampling(FieldReader& in, std::size_t vocab_size, SamplingParams& out) {
  choose_usual_sampling(in, out);
  in.read_real("temperature", out.temperature);
  in.read_real("top_p", out.top_p);
  if (out.top_p == 0) out.top_p = std::numeric_limits<float>::min();  // the best token alone
  in.read_real("min_p", out.min_p);
  if (const auto top_k = in.integer("top_k")) out.top_k = *top_k < 0 ? 0 : static_cast<std::uint32_t>(*top_k);
  in.read_real("repetition_penalty", out.repeat_penalty);
  in.read_real("repeat_penalty", out.repeat_penalty);
  if (const auto last_n = in.integer("repeat_last_n")) {
    out.repeat_last_n = *last_n < 0 ? kWholeContext : static_cast<std::uint32_t>(*last_n);
  }
  in.read_real("presence_penalty", out.presence_penalty);
  in.read_real("frequency_penalty", out.frequency_penalty);
  read_logit_bias(in, vocab_size, out.logit_bias);
}

void read_stream(FieldReader& in, AnswerOptions& options) {
  in.read("stream", options.stream);
  const JsonValue* details = in.find("stream_options");
  if (details == nullptr) return;
  if (details->object() == nullptr) return in.refuse_type("stream_options", "an object", *details);
  if (!options.stream)
    return in.refuse("stream_options", "'stream_options' is only allowed when 'stream' is true.");
  const JsonValue* usage = details->find("include_usage");
  if (usage == nullptr || usage->is_null()) return;
  if (usage->boolean() == nullptr) return in.refuse_type("stream_options.include_usage", "a boolean", *usage);
  options.include_usage = *usage->boolean();
}

void read_common(FieldReader& in, const RequestLimits& limits, AnswerOptions& options) {
  read_model(in, limits.model_id);
  read_max_tokens(in, options);
  read_sampling(in, limits.vocab_size, options.sampling);
  if (const auto seed = in.integer("seed")) {
    options.has_seed = true;
    options.sampling.seed = static_cast<std::uint64_t>(*seed);
  }
  read_stop(in, options.stop);
  in.read_integer("n", options.n);
  read_stream(in, options);
  in.read("return_token_ids", options.return_token_ids);
  in.read("ignore_eos", options.ignore_end);
  in.read("logits_digest", options.digest);
}

// Fields whose silence would be a lie: the client would get an answer without what it asked for.
void refuse_unsupported(FieldReader& in) {
  if (const JsonValue* format = in.find("response_format")) {
    const JsonValue* type = format->find("type");
    const bool is_text = type != nullptr && type->string() != nullptr && *type->string() == "text";
    if (!is_text)
      in.refuse("response_format", "Only the response format {\"type\": \"text\"} is supported.",
                "unsupported_parameter");
  }
  for (const char* name : {"tools", "functions"}) {
    const JsonValue* list = in.find(name);
    if (list == nullptr) continue;
    if (list->array() == nullptr) return in.refuse_type(name, "an array", *list);
    if (!list->array()->empty()) in.refuse(name, "Calling tools is not supported.", "unsupported_parameter");
  }
}

std::string text_of_parts(FieldReader& in, const JsonValue::Array& parts, const std::string& where) {
  std::string text;
  for (const JsonValue& part : parts) {
    const JsonValue* type = part.find("type");
    if (type == nullptr || type->string() == nullptr) {
      in.refuse(where, "Each part of '" + where + "' must be an object with a 'type'.");
      return {};
    }
    const JsonValue* content = part.find("text");
    if (*type->string() != "text" || content == nullptr || content->string() == nullptr) {
      in.refuse(where, "Only parts of the form {\"type\": \"text\", \"text\": \"...\"} are supported, not '" +
                           type->string()->substr(0, 64) + "'.");
      return {};
    }
    text += *content->string();
  }
  return text;
}

ChatMessage read_message(FieldReader& in, const JsonValue& message, const std::string& where) {
  constexpr std::array kRoles = {"system", "developer", "user", "assistant", "tool"};
  if (message.object() == nullptr) {
    in.refuse_type(where, "an object", message);
    return {};
  }
  const JsonValue* role = message.find("role");
  if (role == nullptr || role->string() == nullptr ||
      std::ranges::find(kRoles, *role->string()) == kRoles.end()) {
    in.refuse(where + ".role",
              "'" + where + ".role' must be one of system, developer, user, assistant, tool.");
    return {};
  }
  ChatMessage out;
  out.role = *role->string() == "developer" ? "system" : *role->string();
  FieldReader fields(message);
  fields.read("name", out.name);
  fields.read("tool_call_id", out.tool_call_id);
  if (!fields.ok()) in.refuse(fields.error());
  if (const JsonValue* calls = fields.find("tool_calls")) append_json(out.tool_calls_json, *calls);
  const JsonValue* content = message.find("content");
  if (content == nullptr || content->is_null()) {
    if (out.role == "assistant") return out;  // a turn that only called tools
    in.refuse(where + ".content",
              "'" + where + ".content' is missing: give a string or a list of text parts.");
  } else if (content->string() != nullptr) {
    out.content = *content->string();
  } else if (content->array() != nullptr) {
    out.content = text_of_parts(in, *content->array(), where + ".content");
  } else {
    in.refuse_type(where + ".content", "a string or a list of text parts", *content);
  }
  return out;
}

void read_messages(FieldReader& in, std::vector<ChatMessage>& out) {
  if (!in.ok()) return;
  const JsonValue* messages = in.find("messages");
  if (messages == nullptr)
    return in.refuse("messages", "'messages' is missing.", "missing_required_parameter");
  if (messages->array() == nullptr) return in.refuse_type("messages", "an array", *messages);
  const std::size_t count = messages->array()->size();
  if (count == 0)
    return in.refuse("messages", "'messages' is empty: give at least one message.", "empty_array");
  if (count > kMaxMessages)
    return in.refuse("messages", "'messages' holds more than 4096 messages.", "array_above_max_length");
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    out.push_back(read_message(in, (*messages->array())[i], "messages[" + std::to_string(i) + "]"));
  }
}

void read_template_kwargs(FieldReader& in, std::string& out) {
  const JsonValue* kwargs = in.find("chat_template_kwargs");
  if (kwargs == nullptr) return;
  if (kwargs->object() == nullptr) return in.refuse_type("chat_template_kwargs", "an object", *kwargs);
  append_json(out, *kwargs);
}

void read_chat_logprobs(FieldReader& in, AnswerOptions& options) {
  in.read("logprobs", options.wants_logprobs);
  const auto top = in.integer("top_logprobs");
  if (!top) return;
  if (*top > 0 && !options.wants_logprobs) {
    return in.refuse("top_logprobs", "'top_logprobs' needs 'logprobs' to be true.");
  }
  options.sampling.top_logprobs = static_cast<std::uint32_t>(*top);
}

PromptInput read_prompt_item(FieldReader& in, const JsonValue& item, const std::string& where,
                             std::size_t vocab_size) {
  if (item.string() != nullptr) return *item.string();
  if (item.array() == nullptr) {
    in.refuse_type(where, "a string or a list of token ids", item);
    return {};
  }
  Parsed<std::vector<TokenId>> ids = parse_token_ids(item, where, vocab_size);
  if (const ApiError* error = std::get_if<ApiError>(&ids)) {
    in.refuse(*error);
    return {};
  }
  return std::get<0>(std::move(ids));
}

void read_prompts(FieldReader& in, std::size_t vocab_size, std::uint32_t n, std::vector<PromptInput>& out) {
  if (!in.ok()) return;
  const JsonValue* prompt = in.find("prompt");
  if (prompt == nullptr) return in.refuse("prompt", "'prompt' is missing.", "missing_required_parameter");
  const JsonValue::Array* list = prompt->array();
  if (list != nullptr && list->empty())
    return in.refuse("prompt", "'prompt' is an empty list.", "empty_array");
  const bool is_one = list == nullptr || list->front().is_number();
  if (is_one) {
    out.push_back(read_prompt_item(in, *prompt, "prompt", vocab_size));
    return;
  }
  if (list->size() * n > kMaxPromptsTimesN) {
    return in.refuse("prompt",
                     "One request may ask for at most 64 answers (prompts times 'n'); send several requests.",
                     "array_above_max_length");
  }
  for (std::size_t i = 0; i < list->size() && in.ok(); ++i) {
    out.push_back(read_prompt_item(in, (*list)[i], "prompt[" + std::to_string(i) + "]", vocab_size));
  }
}

}  // namespace

Parsed<std::vector<TokenId>> parse_token_ids(const JsonValue& list, std::string_view param,
                                             std::size_t vocab_size) {
  std::vector<TokenId> ids;
  if (list.array() == nullptr) {
    return bad_request(
        "'" + std::string(param) + "' must be a list of token ids, not " + list.type_name() + ".",
        std::string(param), "invalid_type");
  }
  ids.reserve(list.array()->size());
  for (const JsonValue& item : *list.array()) {
    const std::int64_t* id = item.integer();
    if (id == nullptr) {
      return bad_request(
          "'" + std::string(param) + "' must hold token ids only, not " + item.type_name() + ".",
          std::string(param), "invalid_type");
    }
    if (*id < 0 || static_cast<std::uint64_t>(*id) >= vocab_size) {
      return bad_request("'" + std::string(param) + "' holds " + std::to_string(*id) +
                             ", which is no token id: ids are 0 to " + std::to_string(vocab_size - 1) + ".",
                         std::string(param));
    }
    ids.push_back(static_cast<TokenId>(*id));
  }
  return ids;
}

Parsed<ChatRequest> parse_chat_request(const JsonValue& body, const RequestLimits& limits) {
  FieldReader in(body);
  ChatRequest out;
  read_common(in, limits, out.options);
  read_chat_logprobs(in, out.options);
  refuse_unsupported(in);
  if (out.options.max_tokens == 0U)
    in.refuse("max_tokens", "'max_tokens' must be at least 1.", "value_below_min");
  read_template_kwargs(in, out.template_kwargs);
  read_messages(in, out.messages);
  if (!in.ok()) return in.error();
  return out;
}

Parsed<CompletionRequest> parse_completion_request(const JsonValue& body, const RequestLimits& limits) {
  FieldReader in(body);
  CompletionRequest out;
  read_common(in, limits, out.options);
  for (const char* name : {"suffix", "best_of"}) {
    if (in.find(name) != nullptr) {
      in.refuse(name, "'" + std::string(name) + "' is not supported; leave it out.", "unsupported_parameter");
    }
  }
  refuse_unsupported(in);
  in.read("echo", out.echo);
  in.read("parse_special", out.parse_special);
  if (const auto logprobs = in.integer("logprobs")) {
    out.options.wants_logprobs = true;
    out.options.sampling.top_logprobs = static_cast<std::uint32_t>(*logprobs);
  }
  read_prompts(in, limits.vocab_size, out.options.n, out.prompts);
  if (!in.ok()) return in.error();
  return out;
}

}  // namespace shoal
