#include "text/chat_template.h"

#include <algorithm>
#include <utility>

#include "text/jinja/json_value.h"
#include "text/tokenizer.h"

namespace shoal {
namespace {

using jinja::Dict;
using jinja::List;
using jinja::Value;

// Templates differ in what they expect of a message that calls tools.
struct ToolCallForm {
  bool arguments_are_objects;
  bool empty_content_is_none;
};
// In the order they are tried: most templates were written for the first, those that join strings for the
// others.
constexpr ToolCallForm kToolCallForms[] = {{true, true}, {false, true}, {true, false}, {false, false}};

Dict with(const Dict& dict, const std::string& key, Value value) {
  Dict copy = dict;
  copy.set(Value(key), std::move(value));
  return copy;
}

// The call with its arguments as an object, where they are the JSON text of one.
Value with_object_arguments(const Value& call) {
  const Value* function = call.is_dict() ? call.dict().find(std::string("function")) : nullptr;
  const Value* arguments =
      function != nullptr && function->is_dict() ? function->dict().find(std::string("arguments")) : nullptr;
  if (arguments == nullptr || !arguments->is_string()) return call;
  const Result<Value> parsed = jinja::value_from_json(arguments->string());
  if (!parsed || !parsed->is_dict()) return call;
  return with(call.dict(), "function", with(function->dict(), "arguments", *parsed));
}

Result<Value> tool_calls_value(const std::string& json, ToolCallForm form) {
  Result<Value> calls = jinja::value_from_json(json);
  if (!calls) return fail(calls.error().during("tool_calls"));
  if (!calls->is_list()) return fail(ErrorCode::InvalidArgument, "tool_calls must be a list");
  if (!form.arguments_are_objects) return calls;
  List items;
  for (const Value& call : calls->sequence().items) items.push_back(with_object_arguments(call));
  return Value::list(std::move(items));
}

Result<Value> message_value(const ChatMessage& message, ToolCallForm form) {
  Dict dict;
  dict.set("role", message.role);
  const bool has_calls = !message.tool_calls_json.empty();
  const bool is_none = has_calls && message.content.empty() && form.empty_content_is_none;
  dict.set("content", is_none ? Value::none() : Value(message.content));
  if (!message.name.empty()) dict.set("name", message.name);
  if (!message.tool_call_id.empty()) dict.set("tool_call_id", message.tool_call_id);
  if (has_calls) {
    Result<Value> calls = tool_calls_value(message.tool_calls_json, form);
    if (!calls) return fail(calls.error());
    dict.set("tool_calls", *std::move(calls));
  }
  return Value(std::move(dict));
}

Result<Value> messages_value(std::span<const ChatMessage> messages, ToolCallForm form) {
  List list;
  for (const ChatMessage& message : messages) {
    Result<Value> value = message_value(message, form);
    if (!value) return fail(value.error().during("message " + std::to_string(list.size())));
    list.push_back(*std::move(value));
  }
  return Value::list(std::move(list));
}

Result<Value> tools_value(std::string_view json) {
  if (json.empty()) return Value::none();
  Result<Value> tools = jinja::value_from_json(json);
  if (!tools) return fail(tools.error().during("tools"));
  if (!tools->is_list() && !tools->is_none()) return fail(ErrorCode::InvalidArgument, "tools must be a list");
  return tools;
}

Status add_extras(Dict& context, std::string_view json) {
  if (json.empty()) return {};
  const Result<Value> extras = jinja::value_from_json(json);
  if (!extras) return fail(extras.error().during("chat_template_kwargs"));
  if (!extras->is_dict()) return fail(ErrorCode::InvalidArgument, "chat_template_kwargs must be an object");
  for (const auto& [name, value] : extras->dict().entries()) {
    if (name.string() == "messages" || name.string() == "tools") {
      return fail(ErrorCode::InvalidArgument, "chat_template_kwargs may not set " + name.string());
    }
    context.set(name, value);
  }
  return {};
}

bool has_tool_calls(std::span<const ChatMessage> messages) {
  return std::any_of(messages.begin(), messages.end(),
                     [](const auto& message) { return !message.tool_calls_json.empty(); });
}

}  // namespace

const std::string_view kChatMlTemplate =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + (message['content'] or '') + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

const std::string_view kTurnsTemplate =
    "{% set first = namespace(text='') %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}"
    "{% set first.text = first.text + (message['content'] or '') + '\\n\\n' %}"
    "{% else %}"
    "{{ '<start_of_turn>' + ('model' if message['role'] == 'assistant' else message['role']) + '\\n' }}"
    "{{ first.text + (message['content'] or '') + '<end_of_turn>' + '\\n' }}"
    "{% set first.text = '' %}"
    "{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{% endif %}";

std::string_view fallback_chat_template(const Tokenizer& tokenizer) {
  const auto is_one_token = [&](std::string_view mark) {
    const Result<std::vector<TokenId>> ids = tokenizer.encode(mark, true);
    return ids && ids->size() == 1;
  };
  const bool has_turns = is_one_token("<start_of_turn>") && !is_one_token("<|im_start|>");
  return has_turns ? kTurnsTemplate : kChatMlTemplate;
}

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string bos_token,
                                         std::string eos_token) {
  Result<jinja::Template> parsed = jinja::Template::parse(source);
  if (!parsed) return fail(parsed.error());
  return ChatTemplate(*std::move(parsed), std::move(bos_token), std::move(eos_token));
}

Result<std::string> ChatTemplate::render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                                         std::string_view tools_json, std::string_view extra_kwargs_json,
                                         std::chrono::sys_seconds now) const {
  Result<Value> tools = tools_value(tools_json);
  if (!tools) return fail(tools.error());
  Dict context;
  context.set("bos_token", bos_token_);
  context.set("eos_token", eos_token_);
  context.set("add_generation_prompt", add_generation_prompt);
  context.set("tools", *std::move(tools));
  context.set("documents", Value::none());
  if (Status added = add_extras(context, extra_kwargs_json); !added) return fail(added.error());

  Result<std::string> first = fail(ErrorCode::Internal, "no prompt was rendered");
  for (const ToolCallForm& form : kToolCallForms) {
    const bool is_first = &form == kToolCallForms;
    Result<Value> list = messages_value(messages, form);
    if (!list) return fail(list.error());
    Result<std::string> prompt = template_.render(with(context, "messages", *std::move(list)), now);
    if (prompt || !has_tool_calls(messages)) return prompt;
    if (is_first) first = std::move(prompt);
  }
  return first;  // the first form's error says most
}

}  // namespace shoal
