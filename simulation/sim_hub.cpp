#include "simulation/sim_hub.h"

#include "transport/limits.h"

namespace shoal {

SimHub::SimHub(ServedModel model, ClusterSettings settings, const TokenText& text, Network& network,
               Shards shards, Deliver deliver)
    : state_(std::move(model), std::move(settings), text),
      network_(network),
      shards_(std::move(shards)),
      deliver_(std::move(deliver)) {}

void SimHub::admit(DeviceId device, const std::string& name, const std::string& public_key,
                   std::vector<RememberProfile> profiles) {
  std::vector<ClusterCommand> commands;
  restore_member(state_, {device, name, public_key, false}, std::move(profiles), commands);
  carry_out(std::move(commands));
}

RequestId SimHub::submit(InferenceRequest request, Time now) {
  const RequestId id = ++last_request_;
  handle(SubmitRequest{id, std::move(request)}, now);
  return id;
}

void SimHub::cancel(RequestId id, Time now) { handle(CancelRequest{id}, now); }

void SimHub::run(Time now) {
  std::vector<NetworkEvent> arrived;
  network_.wait(Duration::zero(), arrived);
  for (NetworkEvent& event : arrived) {
    if (auto* received = std::get_if<Received>(&event); received && received->lane == Lane::Bulk) {
      if (const auto* request = std::get_if<ShardRequest>(&received->message)) {
        (void)network_.send(received->from, Lane::Bulk, shards_(*request));
      }
      continue;
    }
    handle(std::move(event), now);
  }
  if (now - ticked_ >= kTick || ticked_ == Time{}) {
    ticked_ = now;
    handle(ClusterTick{}, now);
  }
}

Time SimHub::next_due() const { return ticked_ + kTick; }

void SimHub::handle(ClusterEvent event, Time now) {
  std::vector<ClusterCommand> commands;
  on_event(state_, std::move(event), now, commands);
  carry_out(std::move(commands));
}

void SimHub::carry_out(std::vector<ClusterCommand> commands) {
  for (ClusterCommand& command : commands) {
    std::visit(
        [&]<typename C>(C& c) {
          if constexpr (std::is_same_v<C, DeliverEvent>) {
            deliver_(c.id, std::move(c.event));
          } else if constexpr (std::is_same_v<C, AnswerJoin>) {
            (void)network_.reply_join(c.ticket, std::move(c.reply));
          } else if constexpr (requires { perform(network_, c); }) {
            (void)perform(network_, c);
          }
        },
        command);
  }
}

}  // namespace shoal
