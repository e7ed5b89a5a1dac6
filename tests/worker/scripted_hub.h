#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "tests/transport/zmq_node.h"
#include "tests/worker/tiny_shard.h"

namespace shoal {

// A real shoal-worker process. Ended with the object.
class WorkerProcess {
 public:
  WorkerProcess(std::uint16_t join_port, const JoinToken& token, const std::string& state_directory);
  ~WorkerProcess();
  WorkerProcess(const WorkerProcess&) = delete;

  void kill();        // -9, and waits
  int ask_to_stop();  // SIGTERM; its exit status, -1 if it has none
  bool has_ended();   // by itself
  std::uint64_t resident_bytes() const;

 private:
  int wait_for_end();
  pid_t pid_ = -1;
  std::optional<int> status_;
};

// A hub that says what a test tells it to, over the real network, and gives `model`'s tensors to whoever
// asks.
class ScriptedHub {
 public:
  static constexpr DeviceId kWorker{5};

  explicit ScriptedHub(const TinyModel& model);

  std::uint16_t join_port() const { return node.network->port(Lane::Join); }

  bool run_until(const std::function<bool()>& done, std::chrono::seconds limit = std::chrono::seconds(30));
  void forget() { node.events.clear(), handled_ = 0; }

  // Waits for the worker's hello, welcomes it and connects to its inbox.
  void meet();
  // Sends the plan, waits until the worker says Ready, activates it and waits until its stages are open.
  StageStatus load(const PlanMessage& plan);
  void send(Lane lane, Message message);
  // The answer to the step, or why it was refused.
  std::optional<CandidatesFrame> answer_to(StepFrame frame);
  template <typename M>
  std::optional<M> latest() const {
    const std::vector<const M*> all = node.received<M>();
    return all.empty() ? std::nullopt : std::optional<M>(*all.back());
  }

  JoinToken token;  // first: node is opened with it
  ZmqNode node;
  std::uint64_t next_sequence = 100;
  std::string worker_key;
  std::string inbox;                   // the worker's
  std::string join_obstacle;           // not empty: nobody may join, and this is why
  std::size_t num_answers = SIZE_MAX;  // shard requests it still answers
  std::vector<ShardRequest> requests;  // all that came

 private:
  void handle(const NetworkEvent& event);
  void answer(const ShardRequest& request);

  const TinyModel& model_;
  const std::vector<TensorRef> tensors_;
  std::size_t handled_ = 0;  // of node.events
};

}  // namespace shoal
