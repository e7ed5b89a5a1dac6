#include "coordinator/http/choice.h"
#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

// Source: the OpenAI API reference, "The chat completion object" and "The chat completion chunk object".
class ChatChoice final : public Choice {
 public:
  ChatChoice(std::uint32_t index, const ChoiceOptions& options, const Tokenizer& tokenizer)
      : index_(index), options_(options), tokenizer_(tokenizer) {}

  void add(const PromptTokenEvent&) override {}

  void add(const TokenEvent& event) override {
    text_ += event.text;
    if (options_.return_token_ids) append_ids(ids_, {&event.id, 1});
    if (options_.wants_logprobs) add_logprob(event);
  }

  void add_rest(const FinishedEvent& event) override { text_ += event.text; }

  bool has_news() const override { return !text_.empty() || !logprobs_.empty() || !ids_.empty(); }

  std::string opening() const override {
    JsonWriter out;
    out.begin_object().member("index", index_).key("delta").begin_object();
    out.member("role", "assistant").member("content", "").end_object();
    out.null_member("logprobs").null_member("finish_reason").end_object();
    return out.take();
  }

  std::string take(std::optional<FinishReason> finish) override {
    JsonWriter out;
    out.begin_object().member("index", index_);
    write_text(out, finish.has_value());
    write_logprobs(out);
    out.key("finish_reason");
    finish ? out.value(name_of(*finish)) : out.null();
    if (options_.return_token_ids) out.raw_member("token_ids", "[" + ids_ + "]");
    out.end_object();
    text_.clear();
    logprobs_.clear();
    ids_.clear();
    return out.take();
  }

 private:
  void write_text(JsonWriter& out, bool is_last) const {
    out.key(options_.streamed ? "delta" : "message").begin_object();
    if (!options_.streamed) out.member("role", "assistant");
    if (!options_.streamed || !is_last || !text_.empty()) out.member("content", text_);
    if (!options_.streamed) out.null_member("refusal");
    out.end_object();
  }

  void write_logprobs(JsonWriter& out) const {
    out.key("logprobs");
    if (!options_.wants_logprobs || (options_.streamed && logprobs_.empty())) {
      out.null();
      return;
    }
    out.begin_object().raw_member("content", "[" + logprobs_ + "]").null_member("refusal").end_object();
  }

  void write_token(JsonWriter& out, TokenId id, float logprob) const {
    const std::string_view piece = tokenizer_.piece(id, /*render_special=*/true);
    out.member("token", piece).member("logprob", logprob).key("bytes").begin_array();
    for (const char c : piece) out.value(static_cast<int>(static_cast<unsigned char>(c)));
    out.end_array();
    if (options_.return_token_ids) out.member("id", id);
  }

  void add_logprob(const TokenEvent& event) {
    JsonWriter out;
    out.begin_object();
    write_token(out, event.id, event.logprob);
    out.key("top_logprobs").begin_array();
    for (const TokenTop& top : event.top) {
      out.begin_object();
      write_token(out, top.id, top.logprob);
      out.end_object();
    }
    out.end_array().end_object();
    next_item(logprobs_) += out.take();
  }

  std::uint32_t index_;
  ChoiceOptions options_;
  const Tokenizer& tokenizer_;
  std::string text_;
  std::string logprobs_;  // items of logprobs.content
  std::string ids_;
};

}  // namespace

std::unique_ptr<Choice> make_chat_choice(std::uint32_t index, const ChoiceOptions& options,
                                         const Tokenizer& tokenizer) {
  return std::make_unique<ChatChoice>(index, options, tokenizer);
}

const char* name_of(FinishReason reason) { return reason == FinishReason::Stop ? "stop" : "length"; }

std::string& next_item(std::string& list) {
  if (!list.empty()) list += ',';
  return list;
}

void append_ids(std::string& list, std::span<const TokenId> ids) {
  for (const TokenId id : ids) next_item(list) += std::to_string(id);
}

}  // namespace shoal
