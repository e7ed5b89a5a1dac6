#include "coordinator/http/answer_envelope.h"

#include <chrono>
#include <random>

#include "coordinator/http/choice.h"
#include "coordinator/http/json_writer.h"

namespace shoal {
namespace {

double per_second(std::uint64_t count, double seconds) {
  return seconds > 0 ? static_cast<double>(count) / seconds : 0;
}

void write_usage(JsonWriter& out, const AnswerTotals& totals) {
  out.key("usage").begin_object();
  out.member("prompt_tokens", totals.prompt_tokens);
  out.member("completion_tokens", totals.completion_tokens);
  out.member("total_tokens", totals.prompt_tokens + totals.completion_tokens);
  out.key("prompt_tokens_details").begin_object().member("cached_tokens", 0).end_object().end_object();
}

void write_timings(JsonWriter& out, const AnswerTotals& totals) {
  out.key("timings").begin_object();
  out.member("prompt_n", totals.prompt_tokens);
  out.member("prompt_ms", totals.prefill_seconds * 1e3);
  out.member("prompt_per_second", per_second(totals.prompt_tokens, totals.prefill_seconds));
  out.member("predicted_n", totals.completion_tokens);
  out.member("predicted_ms", totals.decode_seconds * 1e3);
  out.member("predicted_per_second", per_second(totals.decoded_tokens, totals.decode_seconds));
  out.end_object();
}

void write_prompt_ids(JsonWriter& out, std::span<const TokenId> ids) {
  if (ids.empty()) return;
  std::string list;
  append_ids(list, ids);
  out.raw_member("prompt_token_ids", "[" + list + "]");
}

JsonWriter begin(const AnswerEnvelope& envelope) {
  const bool is_chat = envelope.api == ApiKind::Chat;
  JsonWriter out;
  out.begin_object().member("id", envelope.id);
  out.member("object", !is_chat            ? "text_completion"
                       : envelope.streamed ? "chat.completion.chunk"
                                           : "chat.completion");
  out.member("created", envelope.created).member("model", envelope.model);
  out.member("system_fingerprint", envelope.fingerprint);
  return out;
}

}  // namespace

std::string AnswerEnvelope::chunk(const std::string& choice, const AnswerTotals* totals) const {
  JsonWriter out = begin(*this);
  out.raw_member("choices", "[" + choice + "]");
  if (include_usage) out.null_member("usage");
  if (totals != nullptr) write_timings(out, *totals);
  return out.end_object().take();
}

std::string AnswerEnvelope::opening_chunk(const std::string& choice,
                                          std::span<const TokenId> prompt_ids) const {
  JsonWriter out = begin(*this);
  out.raw_member("choices", "[" + choice + "]");
  if (include_usage) out.null_member("usage");
  write_prompt_ids(out, prompt_ids);
  return out.end_object().take();
}

std::string AnswerEnvelope::usage_chunk(const AnswerTotals& totals) const {
  JsonWriter out = begin(*this);
  out.raw_member("choices", "[]");
  write_usage(out, totals);
  return out.end_object().take();
}

std::string AnswerEnvelope::whole(const std::vector<std::string>& choices, const AnswerTotals& totals,
                                  std::span<const TokenId> prompt_ids) const {
  std::string list;
  for (const std::string& choice : choices) next_item(list) += choice;
  JsonWriter out = begin(*this);
  out.raw_member("choices", "[" + list + "]");
  write_usage(out, totals);
  write_timings(out, totals);
  write_prompt_ids(out, prompt_ids);
  return out.end_object().take();
}

std::string make_answer_id(ApiKind api) {
  constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id = api == ApiKind::Chat ? "chatcmpl-" : "cmpl-";
  std::uniform_int_distribution<std::size_t> pick(0, kAlphabet.size() - 1);
  for (int i = 0; i < 24; ++i) id += kAlphabet[pick(random)];
  return id;
}

std::int64_t unix_seconds() {
  using namespace std::chrono;
  return duration_cast<std::chrono::seconds>(system_clock::now().time_since_epoch()).count();
}

std::string sse_event(std::string_view id, std::string_view data) {
  std::string event;
  event.reserve(id.size() + data.size() + 16);
  if (!id.empty()) event.append("id: ").append(id).append("\n");
  return event.append("data: ").append(data).append("\n\n");
}

std::string sse_comment(std::string_view text) { return std::string(": ").append(text).append("\n\n"); }

}  // namespace shoal
