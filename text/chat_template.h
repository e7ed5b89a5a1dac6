#pragma once

#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "text/jinja/template.h"

namespace shoal {

class Tokenizer;

// One message of a conversation, as the OpenAI API has it.
struct ChatMessage {
  std::string role;
  std::string content;
  std::string name;             // empty: none
  std::string tool_calls_json;  // the raw JSON list, or empty
  std::string tool_call_id;     // of a tool's answer; empty: none
};

// For models that carry no template: each message between <|im_start|>role and <|im_end|>.
extern const std::string_view kChatMlTemplate;
// Each message between <start_of_turn> and <end_of_turn>; the assistant is called model, and what the system
// says opens the first turn, as Gemma was taught.
extern const std::string_view kTurnsTemplate;
// Which of the two: the one whose marks are control tokens of this vocabulary; ChatML where neither's are.
std::string_view fallback_chat_template(const Tokenizer& tokenizer);

// Turns a conversation into a prompt by the Jinja template that the model's file carries (the GGUF key
// tokenizer.chat_template). Templates see what transformers gives them: messages, add_generation_prompt,
// bos_token, eos_token, tools, documents, and the request's own extras. Immutable after parse(): any number
// of threads may render at once. A render is bounded in steps, memory and output (text/jinja/budget.h) and
// reaches nothing outside its arguments.
class ChatTemplate {
 public:
  // Unsupported, with the line, when the template does not parse.
  static Result<ChatTemplate> parse(std::string_view source, std::string bos_token, std::string eos_token);

  // The prompt. InvalidArgument when the template refuses the conversation (its raise_exception's words are
  // in the message), when it fails, or when a JSON argument does not parse.
  //   tools_json         a JSON list of tools, or empty: none
  //   extra_kwargs_json  a JSON object of further variables ("chat_template_kwargs"), or empty; it may
  //   replace
  //                      bos_token and the like, never messages or tools
  //   now                what strftime_now prints, read as UTC: add the zone's offset for local time
  // A message with tool calls and no content has the content none. Tool-call arguments that come as JSON
  // text, as the OpenAI API sends them, are given to the template as objects, which most templates expect.
  // When the template fails on that, it is tried again with the arguments as text, and with an empty string
  // for the content.
  Result<std::string> render(std::span<const ChatMessage> messages, bool add_generation_prompt,
                             std::string_view tools_json = {}, std::string_view extra_kwargs_json = {},
                             std::chrono::sys_seconds now = std::chrono::floor<std::chrono::seconds>(
                                 std::chrono::system_clock::now())) const;

 private:
  ChatTemplate(jinja::Template parsed, std::string bos_token, std::string eos_token)
      : template_(std::move(parsed)), bos_token_(std::move(bos_token)), eos_token_(std::move(eos_token)) {}

  jinja::Template template_;
  std::string bos_token_, eos_token_;
};

}  // namespace shoal
