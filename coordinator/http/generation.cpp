#include "coordinator/http/generation.h"

#include "base/log.h"

namespace shoal {
namespace {

// Until then a failure can still be told with its HTTP status; a client that waits longer is shown signs of
// life instead.
constexpr std::chrono::seconds kStatusPatience{5};

ApiError submit_error(const Error& error) {
  ApiError out = to_api_error(error.code(), error.message(), {});
  if (error.code() != ErrorCode::Unavailable) return out;
  out.status = 429;  // the door's queue is full: less, later
  out.code = "rate_limit_exceeded";
  out.retry_after_seconds = 1;
  return out;
}

const char* name_of(ProgressEvent::Kind kind) {
  switch (kind) {
    case ProgressEvent::Kind::Queued:
      return "queued";
    case ProgressEvent::Kind::Prefill:
      return "prefill";
    case ProgressEvent::Kind::Recovering:
      return "recovering";
  }
  return "waiting";
}

}  // namespace

void Generation::run(GenerationPlan plan, std::shared_ptr<Exchange> exchange, InferenceService& service,
                     Executor io) {
  if (exchange->closed()) return;
  auto self = std::make_shared<Generation>(std::move(plan), exchange, service, std::move(io));
  exchange->on_closed([self] {
    self->cancel_running();
    self->done_ = true;
  });
  exchange->on_stopping([self] {
    self->fail(to_api_error(ErrorCode::Unavailable, "The server is shutting down.", "shutting_down"));
  });
  self->submit_all();
}

Generation::Generation(GenerationPlan plan, std::shared_ptr<Exchange> exchange, InferenceService& service,
                       Executor io)
    : plan_(std::move(plan)),
      exchange_(std::move(exchange)),
      service_(service),
      io_(std::move(io)),
      runs_(plan_.sequences.size()) {}

void Generation::submit_all() {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    Result<RequestId> id = service_.submit(std::move(plan_.sequences[i].request), make_sink(i));
    if (!id) return fail(submit_error(id.error()));
    runs_[i].id = *id;
  }
}

// Called on the cluster's thread, possibly before submit has returned, and possibly after this generation has
// ended.
InferenceSink Generation::make_sink(std::size_t which) {
  return [weak = weak_from_this(), io = io_, which](InferenceEvent event) {
    io([weak, which, event = std::move(event)]() mutable {
      if (const auto self = weak.lock()) self->handle(which, std::move(event));
    });
  };
}

void Generation::handle(std::size_t which, InferenceEvent event) {
  if (done_ || runs_[which].finished) return;
  std::visit([&](const auto& e) { on_event(which, e); }, event);
}

void Generation::on_event(std::size_t which, const TokenEvent& event) {
  ++runs_[which].num_tokens;
  plan_.sequences[which].choice->add(event);
  send_news(which);
}

void Generation::on_event(std::size_t which, const PromptTokenEvent& event) {
  plan_.sequences[which].choice->add(event);
  send_news(which);
}

void Generation::on_event(std::size_t which, const FinishedEvent& event) {
  runs_[which].finished = true;
  runs_[which].reason = event.reason;
  if (plan_.sequences[which].counts_prompt) totals_.prompt_tokens += event.prompt_tokens;
  totals_.completion_tokens += event.completion_tokens;
  totals_.prefill_seconds += event.prefill_seconds;
  totals_.decoded_tokens += event.completion_tokens > 0 ? event.completion_tokens - 1 : 0;
  totals_.decode_seconds += event.decode_seconds;
  ++num_finished_;
  const bool is_last = num_finished_ == runs_.size();

  Choice& choice = *plan_.sequences[which].choice;
  choice.add_rest(event);
  if (plan_.envelope.streamed) {
    send_news(which);
    send_chunk(which, plan_.envelope.chunk(choice.take(event.reason), is_last ? &totals_ : nullptr), false);
  }
  if (is_last) complete();
}

void Generation::on_event(std::size_t, const FailedEvent& event) {
  fail(to_api_error(event.code, event.message, event.api_code));
}

void Generation::on_event(std::size_t, const ProgressEvent& event) {
  if (!plan_.envelope.streamed) return;
  if (!stream_open_ && std::chrono::steady_clock::now() - begun_ < kStatusPatience) return;
  open_stream();
  exchange_->write(sse_comment(std::string(name_of(event.kind)) + " " + std::to_string(event.done) + "/" +
                               std::to_string(event.total)));
}

void Generation::open_stream() {
  if (stream_open_) return;
  stream_open_ = true;
  exchange_->start_stream();
  for (const GenerationPlan::Sequence& sequence : plan_.sequences) {
    const std::string opening = sequence.choice->opening();
    if (!opening.empty())
      exchange_->write(sse_event({}, plan_.envelope.opening_chunk(opening, plan_.prompt_ids)));
  }
}

void Generation::send_news(std::size_t which) {
  Choice& choice = *plan_.sequences[which].choice;
  if (!plan_.envelope.streamed || !choice.has_news()) return;
  send_chunk(which, plan_.envelope.chunk(choice.take(std::nullopt)), true);
}

// An event's id is its token's index in the answer, after "choice:" where there are several.
void Generation::send_chunk(std::size_t which, const std::string& chunk, bool is_token) {
  open_stream();
  std::string id;
  if (is_token && runs_[which].num_tokens > 0) {
    if (runs_.size() > 1) id = std::to_string(which) + ":";
    id += std::to_string(runs_[which].num_tokens - 1);
  }
  exchange_->write(sse_event(id, chunk));
}

void Generation::complete() {
  done_ = true;
  if (plan_.envelope.streamed) {
    if (plan_.envelope.include_usage) exchange_->write(sse_event({}, plan_.envelope.usage_chunk(totals_)));
    exchange_->write(sse_event({}, "[DONE]"));
    exchange_->end_stream(Exchange::StreamEnd::Complete);
    return;
  }
  std::vector<std::string> choices;
  for (std::size_t i = 0; i < runs_.size(); ++i)
    choices.push_back(plan_.sequences[i].choice->take(runs_[i].reason));
  exchange_->reply(json_response(plan_.envelope.whole(choices, totals_, plan_.prompt_ids)));
}

// Before the first byte an HTTP status; after it an error event, and the connection ends without [DONE] or a
// finish_reason.
void Generation::fail(const ApiError& error) {
  if (done_) return;
  cancel_running();
  done_ = true;
  log_event(error.status >= 500 ? LogLevel::Warn : LogLevel::Debug, "request_failed",
            {{"id", plan_.envelope.id}, {"code", error.code}, {"reason", error.message}});
  if (!stream_open_) return exchange_->reply(error_response(error));
  exchange_->write(sse_event({}, error.to_json()));
  exchange_->end_stream(Exchange::StreamEnd::Broken);
}

void Generation::cancel_running() {
  if (done_) return;
  for (const Run& run : runs_) {
    if (run.id && !run.finished) service_.cancel(*run.id);
  }
}

}  // namespace shoal
