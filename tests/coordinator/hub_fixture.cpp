#include "tests/coordinator/hub_fixture.h"

#include <doctest/doctest.h>

#include "coordinator/served_model.h"
#include "kernels/kernel_table.h"
#include "kernels/panels.h"
#include "transport/limits.h"
#include "transport/z85.h"

namespace shoal {

std::string scripted_key(std::uint32_t number) {
  std::array<std::uint8_t, 32> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(number * 37 + i);
  return z85_encode(bytes);
}

ServedModel served(const TinyModel& model) {
  Result<ServedModel> read = read_served_model(model.file(), "tiny", 1);
  REQUIRE(read.has_value());
  return *std::move(read);
}

const TokenText& no_text() {
  static const TokenText text{.piece = [](TokenId) { return std::string_view("w "); },
                              .is_end_of_text = [](TokenId) { return false; }};
  return text;
}

ScriptedHub::ScriptedHub(const TinyModel& model, ClusterSettings settings) {
  settings.max_context = settings.scheduler.max_context = 128;
  settings.arithmetic_digest = 5;
  settings.control_port = 7172;
  settings.data_port = 7173;
  settings.bulk_port = 7174;
  state = std::make_unique<ClusterState>(served(model), settings, no_text());
}

// Workers answer at once, in the order they were asked.
void ScriptedHub::feed(ClusterEvent event) {
  on_event(*state, std::move(event), now, commands);
  while (answered_ < commands.size()) {
    std::optional<ClusterEvent> reply = answer_to(commands[answered_++]);
    if (reply) on_event(*state, *std::move(reply), now, commands);
  }
}

void ScriptedHub::from(DeviceId device, Message message, Lane lane) {
  feed(NetworkEvent(Received{device, lane, std::move(message)}));
}

void ScriptedHub::run_for(Duration duration, Duration beat_every) {
  for (const Time end = now + duration; now < end; now += kTick) {
    if (now.time_since_epoch() % beat_every < kTick) {
      for (const auto& [device, hello] : hellos_) {
        if (!silent_.contains(device)) from(device, Beat{});
      }
    }
    feed(ClusterTick{});
  }
}

DeviceId ScriptedHub::join(const std::string& name, std::uint64_t memory_bytes) {
  const auto number = static_cast<std::uint32_t>(hellos_.size() + 1);
  feed(NetworkEvent(
      JoinReceived{++last_ticket_, JoinRequest{.public_key = scripted_key(number), .name = name}}));
  const JoinReply reply = told<AnswerJoin>().back()->reply;
  REQUIRE_MESSAGE(reply.admitted, reply.reason);
  Hello hello;
  hello.arithmetic_version = kArithmeticVersion;
  hello.arithmetic_digest = state->settings.arithmetic_digest;
  hello.panel_layout_version = kPanelLayoutVersion;
  hello.instance = 1000 + number;
  hello.name = name;
  hello.inbox = "tcp://10.0.0." + std::to_string(number) + ":4000";
  hello.memory_bytes = memory_bytes;
  hello.num_threads = 1;
  hello.kernels = "scalar";
  hello.profile_key = 100 + number;
  say_hello(reply.device, hello);
  return reply.device;
}

void ScriptedHub::say_hello(DeviceId device, Hello hello) {
  hellos_[device] = hello;
  from(device, std::move(hello));
}

bool ScriptedHub::serve() {
  for (int i = 0; i < 200 && state->phase != Phase::Ready; ++i) run_for(std::chrono::milliseconds(100));
  return state->phase == Phase::Ready;
}

std::optional<ClusterEvent> ScriptedHub::answer_to(const ClusterCommand& command) const {
  const auto* send = std::get_if<SendMessage>(&command);
  if (!send || !hellos_.contains(send->to) || silent_.contains(send->to)) return std::nullopt;
  const auto say = [&](Message answer, Lane lane = Lane::Control) {
    return ClusterEvent(NetworkEvent(Received{send->to, lane, std::move(answer)}));
  };
  if (const auto* request = std::get_if<ProfileRequest>(&send->message)) {
    if (unmeasured_.contains(send->to)) return std::nullopt;
    ProfileReport report{.model = request->model, .units = {}, .read_bytes_per_second = 1e10};
    for (const TensorRef& tensor : request->tensors)
      report.units.push_back({tensor.unit, 1e-4, 1e-3, 1e-6, 5e-3, 1e-6});
    return say(std::move(report));
  }
  if (const auto* probe = std::get_if<ProbeLinks>(&send->message)) {
    LinkReport report;
    report.links.push_back({kHub, 1e-3, 1e8});
    for (const PeerAddress& peer : probe->peers) report.links.push_back({peer.device, 1e-3, 1e8});
    return say(std::move(report));
  }
  if (const auto* ping = std::get_if<Ping>(&send->message))
    return say(Pong{.nonce = ping->nonce, .payload = {}}, Lane::Data);
  const auto* plan = std::get_if<PlanMessage>(&send->message);
  if (plan && answers_plans_) return say(StageStatus{.epoch = plan->epoch, .state = StageState::Ready});
  return std::nullopt;
}

std::size_t ScriptedHub::count(const std::function<bool(const ClusterCommand&)>& which) const {
  return static_cast<std::size_t>(std::ranges::count_if(commands, which));
}

}  // namespace shoal
