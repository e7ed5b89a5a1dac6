#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/cluster_state.h"
#include "tests/support/tiny_model.h"

namespace shoal {

// A hub's state machine with workers that exist only as the messages they would send. Time moves by hand.
class ScriptedHub {
 public:
  explicit ScriptedHub(const TinyModel& model, ClusterSettings settings = {});

  void feed(ClusterEvent event);
  void from(DeviceId device, Message message, Lane lane = Lane::Control);
  void run_for(Duration duration, Duration beat_every = std::chrono::milliseconds(100));

  // A worker joins and says hello; it is there from then on: beats, measures, answers pings.
  DeviceId join(const std::string& name, std::uint64_t memory_bytes = 1 << 30);
  Hello hello_of(DeviceId device) const { return hellos_.at(device); }
  void say_hello(DeviceId device, Hello hello);
  void silence(DeviceId device) { silent_.insert(device); }
  void unsilence(DeviceId device) { silent_.erase(device); }
  void stop_measuring(DeviceId device) { unmeasured_.insert(device); }
  void answer_plans(bool yes) { answers_plans_ = yes; }
  bool serve();  // runs until Ready; false if it does not come

  std::size_t count(const std::function<bool(const ClusterCommand&)>& which) const;
  template <typename M>
  std::vector<const M*> sent_to(DeviceId device) const {
    std::vector<const M*> found;
    for (const ClusterCommand& command : commands) {
      const auto* send = std::get_if<SendMessage>(&command);
      if (send && send->to == device && std::holds_alternative<M>(send->message))
        found.push_back(&std::get<M>(send->message));
    }
    return found;
  }
  template <typename C>
  std::vector<const C*> told() const {
    std::vector<const C*> found;
    for (const ClusterCommand& command : commands) {
      if (const auto* c = std::get_if<C>(&command)) found.push_back(c);
    }
    return found;
  }

  std::vector<ClusterCommand> commands;  // all so far
  std::unique_ptr<ClusterState> state;
  Time now{std::chrono::seconds(1)};

 private:
  std::optional<ClusterEvent> answer_to(const ClusterCommand& command) const;

  std::map<DeviceId, Hello> hellos_;
  std::set<DeviceId> silent_;
  std::set<DeviceId> unmeasured_;
  bool answers_plans_ = true;
  std::uint64_t last_ticket_ = 0;
  std::size_t answered_ = 0;  // of commands
};

std::string scripted_key(std::uint32_t number);  // 40 characters of Z85
ServedModel served(const TinyModel& model);
const TokenText& no_text();

}  // namespace shoal
