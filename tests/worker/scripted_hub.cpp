#include "tests/worker/scripted_hub.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <thread>

extern char** environ;

namespace shoal {
namespace {

ZmqOptions options_for(const JoinToken& token, const KeyPair& keys) {
  ZmqOptions options;
  options.role = ZmqOptions::Role::Hub;
  options.keys = keys;
  options.join_keys = join_key_pair(token);
  return options;
}

ZmqNode open_node(JoinToken& token) {
  const KeyPair keys = make_key_pair();
  token.hub_public_key = keys.public_key;
  token.secret.fill(7);
  return ZmqNode(options_for(token, keys));
}

}  // namespace

WorkerProcess::WorkerProcess(std::uint16_t join_port, const JoinToken& token,
                             const std::string& state_directory) {
  const std::vector<std::string> words = {SHOAL_BIN_DIR "/shoal-worker",
                                          "--hub",
                                          "127.0.0.1:" + std::to_string(join_port),
                                          "--token",
                                          to_string(token),
                                          "--state",
                                          state_directory,
                                          "--name",
                                          "tested",
                                          "--threads",
                                          "2",
                                          "--log",
                                          "warn"};
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  REQUIRE(::posix_spawn(&pid_, argv[0], nullptr, nullptr, argv.data(), environ) == 0);
}

WorkerProcess::~WorkerProcess() {
  if (!status_) kill();
}

int WorkerProcess::wait_for_end() {
  if (!status_) {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  return *status_;
}

void WorkerProcess::kill() {
  ::kill(pid_, SIGKILL);
  wait_for_end();
}

int WorkerProcess::ask_to_stop() {
  ::kill(pid_, SIGTERM);
  return wait_for_end();
}

bool WorkerProcess::has_ended() {
  int status = 0;
  if (status_) return true;
  if (::waitpid(pid_, &status, WNOHANG) != pid_) return false;
  status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return true;
}

std::uint64_t WorkerProcess::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(pid_) + "/statm");
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

ScriptedHub::ScriptedHub(const TinyModel& model)
    : node(open_node(token)), model_(model), tensors_(tensor_refs(model)) {}

bool ScriptedHub::run_until(const std::function<bool()>& done, std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    node.turn(std::chrono::milliseconds(5));
    for (; handled_ < node.events.size(); ++handled_) handle(node.events[handled_]);
  }
  return true;
}

void ScriptedHub::handle(const NetworkEvent& event) {
  if (const auto* join = std::get_if<JoinReceived>(&event)) {
    if (!join_obstacle.empty()) {
      REQUIRE(node.network->reply_join(join->ticket, {.admitted = false, .reason = join_obstacle}));
      return;
    }
    worker_key = join->request.public_key;
    REQUIRE(node.network->admit(kWorker, worker_key));
    REQUIRE(node.network->reply_join(
        join->ticket, {true, "", kWorker, node.network->port(Lane::Control), node.network->port(Lane::Data),
                       node.network->port(Lane::Bulk)}));
  } else if (const auto* received = std::get_if<Received>(&event)) {
    if (const auto* request = std::get_if<ShardRequest>(&received->message)) answer(*request);
  }
}

void ScriptedHub::answer(const ShardRequest& request) {
  requests.push_back(request);
  if (num_answers == 0) return;
  --num_answers;
  const auto tensor =
      std::ranges::find_if(tensors_, [&](const TensorRef& t) { return t.sha256 == request.tensor; });
  REQUIRE(tensor != tensors_.end());
  send(Lane::Bulk, shard_data(model_, *tensor, request.first_panel, request.num_panels, 256 << 10));
}

void ScriptedHub::meet() {
  REQUIRE(run_until([&] { return latest<Hello>().has_value(); }));
  inbox = latest<Hello>()->inbox;
  send(Lane::Control, Welcome{kWorker, {}});
  REQUIRE(node.network->connect(kWorker, Lane::Data, inbox, worker_key));
  REQUIRE(run_until([&] { return node.is_up(kWorker, Lane::Data); }));
}

StageStatus ScriptedHub::load(const PlanMessage& plan) {
  const auto status_where = [&](auto&& holds) {
    const auto found = [&] {
      const std::optional<StageStatus> status = latest<StageStatus>();
      if (status) REQUIRE_MESSAGE(status->state != StageState::Failed, status->reason);
      return status && status->epoch == plan.epoch && holds(*status);
    };
    REQUIRE(run_until(found, std::chrono::seconds(60)));
  };
  send(Lane::Control, plan);
  status_where([](const StageStatus& s) { return s.state == StageState::Ready; });
  send(Lane::Control, Activate{plan.epoch});
  status_where([](const StageStatus& s) { return s.scratch_bytes > 0; });
  return *latest<StageStatus>();
}

void ScriptedHub::send(Lane lane, Message message) {
  const Status sent = node.network->send(kWorker, lane, std::move(message));
  REQUIRE_MESSAGE(sent, (sent ? "" : sent.error().message()));
}

std::optional<CandidatesFrame> ScriptedHub::answer_to(StepFrame frame) {
  const std::size_t before = node.received<CandidatesFrame>().size();
  const std::size_t refused = node.received<StepRefused>().size();
  send(Lane::Data, std::move(frame));
  REQUIRE(run_until([&] {
    return node.received<CandidatesFrame>().size() > before || node.received<StepRefused>().size() > refused;
  }));
  return node.received<CandidatesFrame>().size() > before ? latest<CandidatesFrame>() : std::nullopt;
}

}  // namespace shoal
