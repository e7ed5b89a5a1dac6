#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "text/chat_template.h"

using namespace shoal;

namespace {

constexpr std::chrono::sys_seconds kNow{std::chrono::seconds{1741529107}};  // 2025-03-09 14:05:07

ChatTemplate parsed(std::string_view source) {
  Result<ChatTemplate> chat = ChatTemplate::parse(source, "<s>", "</s>");
  REQUIRE_MESSAGE(chat.has_value(), (chat ? "" : chat.error().message()));
  return *std::move(chat);
}

ChatMessage message(std::string role, std::string content) {
  return {std::move(role), std::move(content), "", "", ""};
}

ChatMessage tool_call(std::string arguments_json) {
  ChatMessage call = message("assistant", "");
  call.tool_calls_json =
      R"([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": )" + arguments_json + "}}]";
  return call;
}

}  // namespace

TEST_CASE("a model without a template speaks ChatML") {
  const std::vector<ChatMessage> messages = {message("system", "Be brief."),
                                             message("user", "Hi {{ no code }}")};
  const ChatTemplate chat = parsed(kChatMlTemplate);
  CHECK(*chat.render(messages, true) ==
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi {{ no code "
        "}}<|im_end|>\n<|im_start|>assistant\n");
  CHECK(*chat.render(messages, false) ==
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi {{ no code }}<|im_end|>\n");
  CHECK(*chat.render({}, false) == "");
}

TEST_CASE("a model without a template that knows turns speaks in turns, the system's words in the first") {
  const std::vector<ChatMessage> messages = {message("system", "Be brief."), message("user", "Hi"),
                                             message("assistant", "Hello"), message("user", "Bye")};
  const ChatTemplate chat = parsed(kTurnsTemplate);
  CHECK(*chat.render(messages, true) ==
        "<start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
        "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n");
}

TEST_CASE("a template sees the conversation, the tokens, the tools and the request's extras") {
  const ChatTemplate chat = parsed(
      "{{ bos_token }}{{ eos_token }}{{ messages | length }}{{ add_generation_prompt }}{{ tools is none }}{{ "
      "documents is none }}"
      "{{ enable_thinking is defined }}{{ messages[0].name is defined }}{{ messages[0].tool_calls is defined "
      "}}");
  const std::vector<ChatMessage> messages = {message("user", "x")};
  CHECK(*chat.render(messages, true) == "<s></s>1TrueTrueTrueFalseFalseFalse");
  CHECK(*chat.render(messages, false, R"([{"a": 1}])", R"({"enable_thinking": false, "bos_token": "B"})") ==
        "B</s>1FalseFalseTrueTrueFalseFalse");
}

TEST_CASE("names, tool calls and tool answers reach the template") {
  const ChatTemplate chat = parsed("{% for m in messages %}{{ m | tojson }}\n{% endfor %}");
  std::vector<ChatMessage> messages = {tool_call(R"("{\"p\": 1.0}")"), message("tool", "ok")};
  messages[1].name = "f";
  messages[1].tool_call_id = "c1";
  CHECK(*chat.render(messages, false) ==
        "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"id\": \"c1\", \"type\": "
        "\"function\", "
        "\"function\": {\"name\": \"f\", \"arguments\": {\"p\": 1.0}}}]}\n"
        "{\"role\": \"tool\", \"content\": \"ok\", \"name\": \"f\", \"tool_call_id\": \"c1\"}\n");
}

TEST_CASE("tool calls take the form that the template can read") {
  const std::vector<ChatMessage> text_call = {tool_call(R"("{\"p\": 1}")")};
  const std::string head = "{% set call = messages[0].tool_calls[0].function %}";
  CHECK(*parsed(head + "{{ call.arguments.p + 1 }}").render(text_call, false) == "2");
  CHECK(*parsed(head + "{{ 'json: ' + call.arguments }}").render(text_call, false) == "json: {\"p\": 1}");
  CHECK(*parsed("{{ '<' + messages[0].content + '>' }}").render(text_call, false) == "<>");
  CHECK(*parsed(head + "{{ messages[0].content + call.arguments }}").render(text_call, false) ==
        "{\"p\": 1}");
  CHECK(*parsed(head + "{{ call.arguments }}").render(std::vector{tool_call(R"("not json")")}, false) ==
        "not json");
}

TEST_CASE("a template's refusal comes back in its own words, with the line") {
  const ChatTemplate chat =
      parsed("{% if messages[0].role != 'user' %}\n{{ raise_exception('Roles must alternate') }}{% endif %}");
  const std::vector<ChatMessage> messages = {message("assistant", "x")};
  const Result<std::string> prompt = chat.render(messages, true);
  REQUIRE_FALSE(prompt.has_value());
  CHECK(prompt.error().code() == ErrorCode::InvalidArgument);
  CHECK(prompt.error().message() == "chat template, line 2: Roles must alternate");
}

TEST_CASE("a template that does not parse is unsupported, with the line") {
  const Result<ChatTemplate> chat = ChatTemplate::parse("a\n{% nonsense %}", "", "");
  REQUIRE_FALSE(chat.has_value());
  CHECK(chat.error().code() == ErrorCode::Unsupported);
  CHECK(chat.error().message() == "chat template, line 2: the tag {% nonsense %} is not supported here");
}

TEST_CASE("broken JSON from a request is the request's fault") {
  const ChatTemplate chat = parsed("x");
  const std::vector<ChatMessage> messages = {message("user", "x")};
  for (const char* tools : {"{", "{}", "5", "[1", "\"x\""})
    CHECK_FALSE(chat.render(messages, true, tools).has_value());
  for (const char* extras : {"[]", "{", "5", R"({"messages": []})", R"({"tools": []})"}) {
    CAPTURE(extras);
    const Result<std::string> prompt = chat.render(messages, true, {}, extras);
    REQUIRE_FALSE(prompt.has_value());
    CHECK(prompt.error().code() == ErrorCode::InvalidArgument);
  }
  std::vector<ChatMessage> broken = messages;
  broken[0].tool_calls_json = "{";
  CHECK_FALSE(chat.render(broken, true).has_value());
  CHECK(*chat.render(messages, true, "null", "{}") == "x");
}

TEST_CASE("the date is the caller's") {
  const ChatTemplate chat = parsed("{{ strftime_now('%d %b %Y, %H:%M') }}");
  CHECK(*chat.render({}, true, {}, {}, kNow) == "09 Mar 2025, 14:05");
  CHECK(*chat.render({}, true, {}, {}, std::chrono::sys_seconds{}) == "01 Jan 1970, 00:00");
}
