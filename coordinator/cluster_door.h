#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "base/bounded_queue.h"
#include "coordinator/cluster_state.h"
#include "coordinator/inference.h"

namespace shoal {

// The InferenceService of a running coordinator: requests move from any thread through a bounded queue to the
// reactor, which turns them into events of the state machine and carries the answers to their sinks.
class ClusterDoor final : public InferenceService {
 public:
  // `wake` makes the reactor look at the queue; it is called from any thread.
  ClusterDoor(std::uint32_t max_context, std::function<void()> wake);

  // Any thread.
  Result<RequestId> submit(InferenceRequest request, InferenceSink sink) override;
  void cancel(RequestId id) override;
  Health health() const override;
  std::string cluster_json() const override;
  std::uint32_t max_context() const override { return max_context_; }

  // Reactor thread.
  void take_requests(std::vector<ClusterEvent>& events);
  void deliver(RequestId id, InferenceEvent event);
  void publish(Health health, std::string cluster_json);
  // Ends every open request with this failure; nothing is accepted afterwards.
  void close(const FailedEvent& reason);
  std::size_t num_open() const { return sinks_.size(); }

 private:
  struct Submission {
    RequestId id = 0;
    InferenceRequest request;
    InferenceSink sink;
  };

  static constexpr std::size_t kQueueCapacity = 1024;

  const std::uint32_t max_context_;
  const std::function<void()> wake_;
  std::atomic<RequestId> last_id_{0};
  std::atomic<bool> closed_{false};
  BoundedQueue<std::variant<Submission, RequestId>> queue_{kQueueCapacity};
  std::map<RequestId, InferenceSink> sinks_;  // reactor thread

  mutable std::mutex mutex_;  // guards the snapshots
  Health health_;
  std::string json_ = "{}";
};

}  // namespace shoal
