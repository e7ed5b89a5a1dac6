#include "coordinator/http/api.h"

namespace shoal {
namespace {

// The template runs on marked messages, so that only its own control tokens are parsed.
Result<std::vector<TokenId>> encode_chat(const ChatRequest& asked, const ChatTemplate& chat_template,
                                         const ControlText& control_text, const Tokenizer& tokenizer) {
  std::vector<ChatMessage> messages = asked.messages;
  for (ChatMessage& message : messages) {
    for (std::string* text :
         {&message.content, &message.name, &message.tool_calls_json, &message.tool_call_id}) {
      *text = control_text.mark(*text);
    }
  }
  const Result<std::string> rendered = chat_template.render(
      messages, /*add_generation_prompt=*/true, /*tools_json=*/{}, control_text.mark(asked.template_kwargs));
  if (!rendered) return fail(rendered.error());
  Result<std::vector<TokenId>> ids = control_text.encode(*rendered);
  if (!ids) return fail(ids.error());
  const bool has_bos =
      !ids->empty() && ids->front() == tokenizer.bos();  // many templates write it themselves
  if (tokenizer.adds_bos() && tokenizer.bos() >= 0 && !has_bos) ids->insert(ids->begin(), tokenizer.bos());
  return ids;
}

}  // namespace

Parsed<GenerationPlan> Api::plan_chat(const JsonValue& body) const {
  Parsed<ChatRequest> parsed = parse_chat_request(body, limits());
  if (const ApiError* error = std::get_if<ApiError>(&parsed)) return *error;
  const auto& asked = std::get<ChatRequest>(parsed);
  const AnswerOptions& options = asked.options;

  Result<std::vector<TokenId>> prompt = encode_chat(asked, chat_template_, control_text_, tokenizer_);
  if (!prompt) return bad_request(prompt.error().message(), "messages", "template_error");
  Parsed<InferenceRequest> request = make_request(*prompt, options, /*default_max=*/0, "messages");
  if (const ApiError* error = std::get_if<ApiError>(&request)) return *error;

  GenerationPlan plan;
  plan.envelope = make_envelope(ApiKind::Chat, options);
  if (options.return_token_ids) plan.prompt_ids = *std::move(prompt);
  const ChoiceOptions shown{.streamed = options.stream,
                            .wants_logprobs = options.wants_logprobs,
                            .return_token_ids = options.return_token_ids};
  for (std::uint32_t j = 0; j < options.n; ++j) {
    InferenceRequest one = std::get<InferenceRequest>(request);
    one.sampling.seed = seed_of_choice(options.sampling.seed, j);
    plan.sequences.push_back(
        {std::move(one), make_chat_choice(j, shown, tokenizer_), /*counts_prompt=*/j == 0});
  }
  return plan;
}

}  // namespace shoal
