#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "tests/worker/tiny_shard.h"
#include "worker/worker_state.h"

namespace shoal {

inline constexpr DeviceId kSelf{2};
inline constexpr DeviceId kBefore{1};
inline constexpr DeviceId kAfter{3};

// A worker's state with a scripted world around it: events go in, commands are looked through.
class WorkerDriver {
 public:
  WorkerDriver();

  void feed(WorkerEvent event);
  void hear(Message message, DeviceId from = kHub, Lane lane = Lane::Control) {
    feed(NetworkEvent(Received{from, lane, std::move(message)}));
  }
  void advance(Duration by) { now += by; }
  void tick(Duration after = kTick);

  // Of the commands since the last clear(), the first of this kind, moved out.
  template <typename C>
  std::optional<C> take() {
    for (std::size_t i = 0; i < commands.size(); ++i) {
      if (auto* found = std::get_if<C>(&commands[i])) {
        C command = std::move(*found);
        commands.erase(commands.begin() + static_cast<std::ptrdiff_t>(i));
        return command;
      }
    }
    return std::nullopt;
  }
  // The first message of this kind that is sent, to whomever.
  template <typename M>
  std::optional<M> sent(DeviceId* to = nullptr, Lane* lane = nullptr) {
    for (std::size_t i = 0; i < commands.size(); ++i) {
      auto* send = std::get_if<SendMessage>(&commands[i]);
      if (!send || !std::holds_alternative<M>(send->message)) continue;
      if (to) *to = send->to;
      if (lane) *lane = send->lane;
      M message = std::move(std::get<M>(send->message));
      commands.erase(commands.begin() + static_cast<std::ptrdiff_t>(i));
      return message;
    }
    return std::nullopt;
  }
  template <typename C>
  std::size_t count() const {
    std::size_t count = 0;
    for (const WorkerCommand& command : commands) count += std::holds_alternative<C>(command);
    return count;
  }
  template <typename M>
  std::size_t count_sent() const {
    std::size_t count = 0;
    for (const WorkerCommand& command : commands) {
      const auto* send = std::get_if<SendMessage>(&command);
      count += send && std::holds_alternative<M>(send->message);
    }
    return count;
  }
  void clear() { commands.clear(); }

  // Connected, welcomed, with this plan active and its stages open.
  void run_plan(const PlanMessage& plan);

  WorkerState state;
  Time now{std::chrono::hours(1)};
  std::vector<WorkerCommand> commands;
};

// PlanMessages and StepFrames hold move-only payloads: copies for repeats.
StepFrame copy_of(const StepFrame& frame);

// One row group of `rows` rows, and a frame of it for `stage` with ids and (behind the embedding) a payload
// of counting floats.
RowGroup group_of(std::uint64_t sequence, std::uint64_t step, std::uint32_t position, std::uint32_t rows,
                  std::uint32_t flags = 0);
StepFrame frame_of(Epoch epoch, std::uint32_t stage, std::vector<RowGroup> groups,
                   std::size_t floats_per_row);

}  // namespace shoal
