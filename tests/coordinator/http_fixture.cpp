#include "tests/coordinator/http_fixture.h"

#include "base/check.h"

namespace shoal {

ScriptedService::ScriptedService() : thread_([this] { run(); }) {}

ScriptedService::~ScriptedService() {
  post([this] { stopping_ = true; });
  thread_.join();
}

void ScriptedService::run() {
  while (!stopping_) {
    std::vector<std::function<void()>> tasks;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !tasks_.empty(); });
      tasks.swap(tasks_);
    }
    for (const auto& task : tasks) task();
  }
}

void ScriptedService::post(std::function<void()> task) {
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  changed_.notify_all();
}

void ScriptedService::set_script(Script script) {
  const std::lock_guard lock(mutex_);
  script_ = std::move(script);
}

void ScriptedService::set_health(Health health) {
  const std::lock_guard lock(mutex_);
  health_ = std::move(health);
}

void ScriptedService::set_max_context(std::uint32_t positions) {
  const std::lock_guard lock(mutex_);
  max_context_ = positions;
}

void ScriptedService::set_full(bool full) {
  const std::lock_guard lock(mutex_);
  full_ = full;
}

bool ScriptedService::wait_for_requests(std::size_t count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kClientPatience, [&] { return requests_.size() >= count; });
}

bool ScriptedService::wait_for_cancels(std::size_t count, std::chrono::milliseconds patience) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, patience, [&] { return num_cancels_ >= count; });
}

std::size_t ScriptedService::num_cancels() const {
  const std::lock_guard lock(mutex_);
  return num_cancels_;
}

InferenceRequest ScriptedService::request(std::size_t i) const {
  const std::lock_guard lock(mutex_);
  SHOAL_CHECK(i < requests_.size());
  return requests_[i];
}

void ScriptedService::send(std::size_t i, InferenceEvent event) {
  InferenceSink sink;
  {
    const std::lock_guard lock(mutex_);
    SHOAL_CHECK(i < sinks_.size());
    sink = sinks_[i];
  }
  post([sink = std::move(sink), event = std::move(event)] { sink(event); });
}

Result<RequestId> ScriptedService::submit(InferenceRequest request, InferenceSink sink) {
  const std::lock_guard lock(mutex_);
  if (full_) return fail(ErrorCode::Unavailable, "the queue is full");
  if (script_) {
    tasks_.push_back([events = script_(request), sink] {
      for (const InferenceEvent& event : events) sink(event);
    });
  }
  requests_.push_back(std::move(request));
  sinks_.push_back(std::move(sink));
  changed_.notify_all();
  return RequestId{requests_.size()};
}

void ScriptedService::cancel(RequestId) {
  const std::lock_guard lock(mutex_);
  ++num_cancels_;
  changed_.notify_all();
}

InferenceService::Health ScriptedService::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

std::uint32_t ScriptedService::max_context() const {
  const std::lock_guard lock(mutex_);
  return max_context_;
}

TokenEvent token_event(std::uint32_t index, TokenId id, std::string text, float logprob,
                       std::vector<TokenTop> top) {
  return {.id = id, .index = index, .text = std::move(text), .logprob = logprob, .top = std::move(top)};
}

FinishedEvent finished_event(std::uint32_t prompt_tokens, std::uint32_t completion_tokens,
                             FinishReason reason, std::string rest) {
  return {.reason = reason,
          .text = std::move(rest),
          .prompt_tokens = prompt_tokens,
          .completion_tokens = completion_tokens,
          .prefill_seconds = 0.5,
          .decode_seconds = 2,
          .digest = {}};
}

std::vector<InferenceEvent> words_then_end(const InferenceRequest& request,
                                           const std::vector<std::string>& words) {
  std::vector<InferenceEvent> events;
  for (std::uint32_t i = 0; i < words.size(); ++i)
    events.emplace_back(token_event(i, static_cast<TokenId>(100 + i), words[i]));
  events.emplace_back(finished_event(static_cast<std::uint32_t>(request.prompt.size()),
                                     static_cast<std::uint32_t>(words.size())));
  return events;
}

namespace {

const TinyModel& tiny_model() {
  static const TinyModel kModel{7};
  return kModel;
}

template <typename T>
T must(Result<T> result) {
  if (!result) check_failed(__FILE__, __LINE__, result.error().message().c_str());
  return *std::move(result);
}

}  // namespace

const Tokenizer& HttpFixture::tokenizer() {
  static const Tokenizer kTokenizer = must(Tokenizer::open(tiny_model().file()));
  return kTokenizer;
}

const ChatTemplate& HttpFixture::chat_template() {
  static const ChatTemplate kTemplate =
      must(ChatTemplate::parse(kChatMlTemplate, tokenizer().bos_text(), tokenizer().eos_text()));
  return kTemplate;
}

HttpOptions HttpFixture::options() {
  HttpOptions out;
  out.port = 0;
  out.api.model_id = "tiny/model";
  out.api.version = "0.1.0";
  out.api.fingerprint = "fp_test";
  out.api.created = 1700000000;
  return out;
}

HttpFixture::HttpFixture(const HttpOptions& http_options)
    : server(must(HttpServer::open(http_options, service, tokenizer(), chat_template()))) {}

std::vector<TokenId> HttpFixture::encode(std::string_view text, bool parse_special) const {
  return must(tokenizer().encode(text, parse_special));
}

}  // namespace shoal
