#include "coordinator/cluster_door.h"

#include <random>
#include <thread>

namespace shoal {
namespace {

// A seed for a request that brings none. Drawn once, before its first token, and kept with the request: a
// replay draws nothing.
std::uint64_t draw_seed() {
  static thread_local std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

}  // namespace

ClusterDoor::ClusterDoor(std::uint32_t max_context, std::function<void()> wake)
    : max_context_(max_context), wake_(std::move(wake)) {}

Result<RequestId> ClusterDoor::submit(InferenceRequest request, InferenceSink sink) {
  if (closed_) return fail(ErrorCode::Unavailable, "the coordinator is stopping");
  if (!request.has_seed) request.sampling.seed = draw_seed();
  const RequestId id = ++last_id_;
  if (!queue_.try_push(Submission{id, std::move(request), std::move(sink)})) {
    return fail(ErrorCode::Unavailable,
                closed_ ? "the coordinator is stopping" : "too many requests at once: try again later");
  }
  wake_();
  return id;
}

void ClusterDoor::cancel(RequestId id) {
  // A full queue drains within a tick, and a cancellation must not be lost.
  while (!closed_ && !queue_.try_push(id)) std::this_thread::yield();
  wake_();
}

InferenceService::Health ClusterDoor::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

std::string ClusterDoor::cluster_json() const {
  const std::lock_guard lock(mutex_);
  return json_;
}

void ClusterDoor::take_requests(std::vector<ClusterEvent>& events) {
  while (auto entry = queue_.try_pop()) {
    if (auto* submission = std::get_if<Submission>(&*entry)) {
      sinks_[submission->id] = std::move(submission->sink);
      events.emplace_back(SubmitRequest{submission->id, std::move(submission->request)});
    } else {
      const RequestId id = std::get<RequestId>(*entry);
      if (sinks_.erase(id) > 0) events.emplace_back(CancelRequest{id});
    }
  }
}

void ClusterDoor::deliver(RequestId id, InferenceEvent event) {
  const auto sink = sinks_.find(id);
  if (sink == sinks_.end()) return;  // its client left
  const bool is_last =
      std::holds_alternative<FinishedEvent>(event) || std::holds_alternative<FailedEvent>(event);
  if (!is_last) return sink->second(std::move(event));
  const InferenceSink last = std::move(sink->second);
  sinks_.erase(sink);
  last(std::move(event));
}

void ClusterDoor::publish(Health health, std::string cluster_json) {
  const std::lock_guard lock(mutex_);
  health_ = std::move(health);
  json_ = std::move(cluster_json);
}

void ClusterDoor::close(const FailedEvent& reason) {
  closed_ = true;
  queue_.close();  // nothing can slip in behind the last look
  std::vector<ClusterEvent> late;
  take_requests(late);
  while (!sinks_.empty()) deliver(sinks_.begin()->first, reason);
}

}  // namespace shoal
