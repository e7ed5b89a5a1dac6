#include "coordinator/http/choice.h"
#include "coordinator/http/json_writer.h"
#include "coordinator/http/legacy_logprobs.h"

namespace shoal {
namespace {

// Source: the OpenAI API reference, "The completion object".
class CompletionChoice final : public Choice {
 public:
  CompletionChoice(std::uint32_t index, const ChoiceOptions& options, const Tokenizer& tokenizer,
                   std::span<const TokenId> prompt, std::string echo_text)
      : index_(index),
        options_(options),
        tokenizer_(tokenizer),
        prompt_(prompt.begin(), prompt.end()),
        logprobs_(tokenizer, options.return_token_ids) {
    if (!options_.echo) return;
    if (options_.wants_logprobs) {
      add_prompt_token(0, std::nullopt, {});
    } else {
      text_ = std::move(echo_text);
    }
  }

  // Row i judges prompt token i + 1.
  void add(const PromptTokenEvent& event) override {
    if (event.row != next_row_ || !scores_prompt()) return;
    ++next_row_;
    if (next_row_ < prompt_.size()) {
      add_prompt_token(next_row_, event.logprob, event.top);
    } else {
      logprobs_.set_next(event.top);
    }
  }

  void add(const TokenEvent& event) override {
    text_ += event.text;
    if (options_.return_token_ids) append_ids(ids_, {&event.id, 1});
    if (options_.wants_logprobs) {
      logprobs_.add(event.id, tokenizer_.piece(event.id, /*render_special=*/false), event.logprob, event.top);
    }
  }

  void add_rest(const FinishedEvent& event) override {
    text_ += event.text;
    digest_ = event.digest;
  }

  bool has_news() const override {
    return !text_.empty() || !ids_.empty() || (options_.wants_logprobs && !logprobs_.empty());
  }

  std::string opening() const override { return {}; }

  std::string take(std::optional<FinishReason> finish) override {
    JsonWriter out;
    out.begin_object().member("index", index_).member("text", text_).key("logprobs");
    if (options_.wants_logprobs && (!options_.streamed || !logprobs_.empty())) {
      logprobs_.write_and_clear(out);
    } else {
      out.null();
    }
    out.key("finish_reason");
    finish ? out.value(name_of(*finish)) : out.null();
    write_ids(out);
    if (!digest_.empty()) out.member("logits_digest", digest_);
    out.end_object();
    text_.clear();
    ids_.clear();
    return out.take();
  }

 private:
  bool scores_prompt() const { return options_.echo && options_.wants_logprobs; }

  void add_prompt_token(std::size_t i, std::optional<float> logprob, std::span<const TokenTop> top) {
    const TokenId id = prompt_[i];
    const bool hidden = i == 0 && options_.added_bos;
    const std::string_view shown =
        hidden ? std::string_view() : tokenizer_.piece(id, /*render_special=*/true);
    logprobs_.add(id, shown, logprob, top);
    text_ += prompt_text_.push(shown);
    if (i + 1 == prompt_.size()) text_ += prompt_text_.flush();
  }

  void write_ids(JsonWriter& out) {
    if (!options_.return_token_ids) return;
    if (!prompt_ids_sent_) {
      std::string list;
      append_ids(list, prompt_);
      out.raw_member("prompt_token_ids", "[" + list + "]");
      prompt_ids_sent_ = true;
    }
    out.raw_member("token_ids", "[" + ids_ + "]");
  }

  std::uint32_t index_;
  ChoiceOptions options_;
  const Tokenizer& tokenizer_;
  std::vector<TokenId> prompt_;
  LegacyLogprobs logprobs_;
  TextStream prompt_text_;
  std::size_t next_row_ = 0;
  bool prompt_ids_sent_ = false;
  std::string text_;
  std::string ids_;
  std::string digest_;
};

}  // namespace

std::unique_ptr<Choice> make_completion_choice(std::uint32_t index, const ChoiceOptions& options,
                                               const Tokenizer& tokenizer, std::span<const TokenId> prompt,
                                               std::string echo_text) {
  return std::make_unique<CompletionChoice>(index, options, tokenizer, prompt, std::move(echo_text));
}

}  // namespace shoal
