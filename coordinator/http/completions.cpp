#include "coordinator/http/api.h"

namespace shoal {
namespace {

constexpr std::uint32_t kDefaultMaxTokens = 16;  // OpenAI's for this endpoint

struct Prompt {
  std::vector<TokenId> ids;
  std::string text;  // as echoed
  bool added_bos = false;
};

Parsed<Prompt> encode_prompt(const PromptInput& input, bool parse_special, const Tokenizer& tokenizer) {
  if (const auto* ids = std::get_if<std::vector<TokenId>>(&input)) {
    return Prompt{*ids, tokenizer.decode(*ids, /*render_special=*/true), false};
  }
  const std::string& text = std::get<std::string>(input);
  Result<std::vector<TokenId>> ids = tokenizer.encode(text, parse_special);
  if (!ids) return to_api_error(ids.error().code(), ids.error().message(), {});
  Prompt prompt{std::move(*ids), text, false};
  // A client may have written the token itself; an empty prompt must begin with something.
  const bool has_bos = !prompt.ids.empty() && prompt.ids.front() == tokenizer.bos();
  if (tokenizer.bos() >= 0 && !has_bos && (tokenizer.adds_bos() || prompt.ids.empty())) {
    prompt.ids.insert(prompt.ids.begin(), tokenizer.bos());
    prompt.added_bos = true;
  }
  return prompt;
}

}  // namespace

Parsed<GenerationPlan> Api::plan_completion(const JsonValue& body) const {
  Parsed<CompletionRequest> parsed = parse_completion_request(body, limits());
  if (const ApiError* error = std::get_if<ApiError>(&parsed)) return *error;
  const auto& asked = std::get<CompletionRequest>(parsed);
  const AnswerOptions& options = asked.options;

  GenerationPlan plan;
  plan.envelope = make_envelope(ApiKind::Completion, options);
  for (const PromptInput& input : asked.prompts) {
    Parsed<Prompt> encoded = encode_prompt(input, asked.parse_special, tokenizer_);
    if (const ApiError* error = std::get_if<ApiError>(&encoded)) return *error;
    const auto& prompt = std::get<Prompt>(encoded);
    Parsed<InferenceRequest> request = make_request(prompt.ids, options, kDefaultMaxTokens, "prompt");
    if (const ApiError* error = std::get_if<ApiError>(&request)) return *error;

    const ChoiceOptions shown{.streamed = options.stream,
                              .wants_logprobs = options.wants_logprobs,
                              .return_token_ids = options.return_token_ids,
                              .echo = asked.echo,
                              .added_bos = prompt.added_bos};
    for (std::uint32_t j = 0; j < options.n; ++j) {
      InferenceRequest one = std::get<InferenceRequest>(request);
      one.sampling.seed = seed_of_choice(options.sampling.seed, j);
      one.echo_logprobs = asked.echo && options.wants_logprobs;
      const auto index = static_cast<std::uint32_t>(plan.sequences.size());
      plan.sequences.push_back({std::move(one),
                                make_completion_choice(index, shown, tokenizer_, prompt.ids, prompt.text),
                                /*counts_prompt=*/j == 0});
    }
  }
  return plan;
}

}  // namespace shoal
