#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <set>

#include "model/sampler.h"
#include "model/score.h"
#include "tests/support/random.h"
#include "tests/support/sanitized.h"
#include "tests/transport/raw_peer.h"
#include "tests/worker/scripted_hub.h"
#include "tests/worker/worker_driver.h"
#include "transport/limits.h"
#include "worker/joining.h"
#include "worker/panel_file.h"

namespace shoal {
namespace {

constexpr DeviceId kWorker = ScriptedHub::kWorker;

TinyModelOptions options_of(std::uint32_t hidden_size, std::uint32_t vocab_size) {
  TinyModelOptions options;
  options.num_layers = 2;
  options.hidden_size = hidden_size;
  options.num_heads = hidden_size / 64;
  options.num_kv_heads = 1;
  options.head_dim = 64;
  options.intermediate_size = 2 * hidden_size;
  options.vocab_size = vocab_size;
  return options;
}

const TinyModel& small_model() {
  static const TinyModel model{71, options_of(64, 600)};
  return model;
}
const TinyModel& large_model() {  // 17 MB in its embedding
  static const TinyModel model{72, options_of(512, 32000)};
  return model;
}

PlanMessage whole_plan(const TinyModel& model, Epoch epoch) { return plan_for(model, epoch, {}, {kWorker}); }

StepFrame step_of(Epoch epoch, std::uint64_t sequence, std::uint64_t step, std::uint32_t position,
                  std::vector<TokenId> ids) {
  StepFrame frame;
  frame.epoch = epoch;
  frame.pipeline = PipelineId{1};
  frame.groups = {group_of(sequence, step, position, static_cast<std::uint32_t>(ids.size()), kWantsLastRow)};
  frame.ids = std::move(ids);
  if (step == 1) frame.opens.push_back({.sequence = SequenceId{sequence}, .depth = 1, .params = {}});
  return frame;
}

std::vector<TokenId> prompt_of(std::size_t size) {
  std::vector<TokenId> ids(size);
  for (std::size_t i = 0; i < size; ++i) ids[i] = static_cast<TokenId>(5 + 31 * i % 590);
  return ids;
}

// Greedy tokens after `prompt`, from the worker; the sequence is closed behind them.
std::vector<TokenId> generate(ScriptedHub& hub, const TinyModel& model, Epoch epoch,
                              const std::vector<TokenId>& prompt, std::size_t count) {
  std::vector<TokenId> answer;
  std::vector<TokenId> next = prompt;
  std::uint32_t position = 0;
  const std::uint64_t sequence = hub.next_sequence++;
  std::uint64_t step = 1;
  for (; answer.size() < count; ++step) {
    const auto rows = static_cast<std::uint32_t>(next.size());
    const auto candidates = hub.answer_to(step_of(epoch, sequence, step, position, next));
    REQUIRE(candidates);
    REQUIRE(candidates->rows.size() == 1);
    const auto choice = choose_token(candidates->rows.front(), {}, model.config().vocab_size);
    REQUIRE(choice);
    answer.push_back(choice->id);
    position += rows;
    next = {choice->id};
  }
  StepFrame close;
  close.epoch = epoch;
  close.pipeline = PipelineId{1};
  close.groups = {group_of(sequence, step, position, 0, kCloses)};
  REQUIRE(hub.answer_to(std::move(close)));
  return answer;
}

std::vector<TokenId> generate_after_loading(ScriptedHub& hub, const TinyModel& model) {
  const PlanMessage plan = whole_plan(model, make_epoch(1, 1));
  (void)hub.load(plan);
  return generate(hub, model, plan.epoch, prompt_of(20), 3);
}

std::vector<TokenId> expected_answer(const TinyModel& model, const std::vector<TokenId>& prompt,
                                     std::uint32_t count) {
  Result<WholeModel> whole = WholeModel::open(model.path(), *runnable_kernels().back(), 1, 512, 64);
  REQUIRE(whole);
  const Result<std::vector<ChosenToken>> choices = whole->generate(prompt, {}, count);
  REQUIRE(choices);
  std::vector<TokenId> tokens;
  for (const ChosenToken& choice : *choices) tokens.push_back(choice.id);
  return tokens;
}

std::uint64_t stored_bytes(const PlanMessage& plan) {
  std::set<Sha256> seen;
  std::uint64_t bytes = 0;
  for (const TensorRef& tensor : plan.tensors)
    if (seen.insert(tensor.sha256).second) bytes += stored_body_bytes(tensor);
  return bytes;
}

// Bytes that are no ZeroMQ at all, to the inbox's port.
void send_noise(const std::string& inbox) {
  const Result<Endpoint> at = parse_endpoint(inbox);
  REQUIRE(at);
  Random random{3};
  for (int i = 0; i < 8; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(at->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    std::vector<std::uint64_t> noise(1000);
    for (std::uint64_t& word : noise) word = random.next();
    (void)::send(fd, noise.data(), noise.size() * sizeof(std::uint64_t), MSG_NOSIGNAL);
    ::close(fd);
  }
}

}  // namespace

TEST_CASE("a worker that is killed in mid-fetch goes on with it, and fetches nothing once it has all") {
  const TinyModel& model = large_model();
  const TemporaryDirectory directory;
  ScriptedHub hub(model);
  const std::vector<TokenId> prompt = prompt_of(40);
  const std::vector<TokenId> expected = expected_answer(model, prompt, 6);
  {
    WorkerProcess worker(hub.join_port(), hub.token, directory.path());
    hub.meet();
    hub.num_answers = 40;  // 10 MB
    hub.send(Lane::Control, whole_plan(model, make_epoch(1, 1)));
    REQUIRE(hub.run_until([&] { return hub.requests.size() > 40; }));
    worker.kill();
  }
  hub.forget();
  hub.requests.clear();
  hub.num_answers = SIZE_MAX;
  {
    WorkerProcess worker(hub.join_port(), hub.token, directory.path());
    hub.meet();
    const PlanMessage plan = whole_plan(model, make_epoch(1, 2));
    const StageStatus status = hub.load(plan);
    CHECK(hub.requests.front().first_panel > 0);
    CHECK(status.bytes_received > 0);
    CHECK(status.bytes_received < stored_bytes(plan) - (4 << 20));
    CHECK(generate(hub, model, plan.epoch, prompt, 6) == expected);
    CHECK(worker.ask_to_stop() == 0);
  }
  hub.forget();
  hub.requests.clear();
  WorkerProcess worker(hub.join_port(), hub.token, directory.path());
  hub.meet();
  const StageStatus status = hub.load(whole_plan(model, make_epoch(1, 3)));
  CHECK(hub.requests.empty());
  CHECK(status.bytes_received == 0);
  CHECK(status.bytes_present == status.bytes_total);
  CHECK(generate(hub, model, make_epoch(1, 3), prompt, 6) == expected);
  CHECK(worker.ask_to_stop() == 0);
}

TEST_CASE("a worker outlives its hub's farewell and goes on with the plan it holds") {
  const TinyModel& model = small_model();
  const TemporaryDirectory directory;
  ScriptedHub hub(model);
  WorkerProcess worker(hub.join_port(), hub.token, directory.path());
  hub.meet();
  const PlanMessage plan = whole_plan(model, make_epoch(1, 1));
  (void)hub.load(plan);
  hub.send(Lane::Control, Goodbye{"that is all"});
  (void)hub.run_until([&] { return worker.has_ended(); }, std::chrono::seconds(1));
  CHECK_FALSE(worker.has_ended());
  const std::vector<TokenId> prompt = prompt_of(20);
  CHECK(generate(hub, model, plan.epoch, prompt, 3) == expected_answer(model, prompt, 3));
  CHECK(worker.ask_to_stop() == 0);
}

TEST_CASE(
    "a worker whose key the hub no longer knows joins again, and ends with the reason where it may not") {
  const TinyModel& model = small_model();
  const TemporaryDirectory directory;
  ScriptedHub hub(model);
  WorkerProcess worker(hub.join_port(), hub.token, directory.path());
  hub.meet();
  hub.forget();
  SUBCASE("forgotten") {
    hub.node.network->revoke(kWorker);
    hub.meet();
    CHECK(generate_after_loading(hub, model) == expected_answer(model, prompt_of(20), 3));
    CHECK(worker.ask_to_stop() == 0);
  }
  SUBCASE("revoked") {
    hub.join_obstacle = "this device's key was revoked";
    hub.node.network->revoke(kWorker);
    REQUIRE(hub.run_until([&] { return worker.has_ended(); }));
    CHECK(worker.ask_to_stop() == 1);
  }
}

TEST_CASE(
    "a worker's resident set stays within its shard, KV, scratch and log and 40 MB, whatever it did before") {
  const TinyModel& model = large_model();
  const TemporaryDirectory directory;
  ScriptedHub hub(model);
  WorkerProcess worker(hub.join_port(), hub.token, directory.path());
  hub.meet();
  PlanMessage plan = whole_plan(model, make_epoch(1, 1));
  ProfileRequest measure{.model = {}, .config = plan.config, .tensors = {}};
  for (const TensorRef& tensor : plan.tensors) {
    if (tensor.unit < 2 || tensor.unit == model.config().head_unit()) measure.tensors.push_back(tensor);
  }
  hub.send(Lane::Control, measure);
  REQUIRE(hub.run_until([&] { return hub.latest<ProfileReport>().has_value(); }, std::chrono::seconds(60)));
  CHECK_FALSE(hub.latest<ProfileReport>()->units.empty());
  StageStatus status;
  for (std::uint32_t version = 1; version <= 3; ++version) {  // the earlier plan's memory must have gone
    plan.epoch = make_epoch(1, version);
    status = hub.load(plan);
    for (int i = 0; i < 3; ++i) (void)generate(hub, model, plan.epoch, prompt_of(64), 60);
  }
  const std::uint64_t stated = stored_bytes(plan) + status.kv_bytes + status.scratch_bytes + plan.log_bytes;
  const std::uint64_t resident = worker.resident_bytes();
  std::printf("  resident %.1f MB, shard, KV, scratch and log %.1f MB\n", static_cast<double>(resident) / 1e6,
              static_cast<double>(stated) / 1e6);
  if (!kSanitized) CHECK(resident <= stated + 40'000'000);
}

TEST_CASE(
    "garbage, oversized, foreign and stale frames on the inbox stop nothing, and are told with a reason") {
  const TinyModel& model = small_model();
  const TemporaryDirectory directory;
  ScriptedHub hub(model);
  WorkerProcess worker(hub.join_port(), hub.token, directory.path());
  hub.meet();
  const KeyPair neighbour_keys = make_key_pair();
  const DeviceId neighbour{9};
  PlanMessage plan = whole_plan(model, make_epoch(1, 2));
  plan.peers.push_back({neighbour, "tcp://127.0.0.1:9", neighbour_keys.public_key});
  (void)hub.load(plan);
  const std::vector<TokenId> prompt = prompt_of(20);
  const std::vector<TokenId> expected = expected_answer(model, prompt, 3);
  const auto rejected = [&] {
    const std::optional<Beat> beat = hub.latest<Beat>();
    return beat ? beat->rejected_frames : 0;
  };

  SUBCASE("noise on the port") { send_noise(hub.inbox); }
  SUBCASE("a stranger's key") {
    RawPeer stranger(hub.inbox, RawPeer::Curve{make_key_pair(), hub.worker_key});
    (void)hub.run_until([] { return false; }, std::chrono::seconds(1));
    CHECK_FALSE(stranger.is_up());
  }
  SUBCASE("a neighbour's malformed frame") {
    RawPeer bad(hub.inbox, RawPeer::Curve{neighbour_keys, hub.worker_key});
    REQUIRE(hub.run_until([&] { return bad.is_up(); }));
    SUBCASE("that is no message") { bad.send({"what is this?"}); }
    SUBCASE("of an oversized header") { bad.send({std::string(kMaxHeaderBytes + 1, 'x')}); }
    SUBCASE("of an oversized payload") {
      bad.send({RawPeer::header_of(step_of(plan.epoch, 1, 1, 0, {1})),
                std::string(kMaxPayloadChunkBytes * 2, 'x')});
    }
    SUBCASE("cut short") {
      std::string header = RawPeer::header_of(step_of(plan.epoch, 1, 1, 0, {1}));
      header.resize(header.size() / 2);
      bad.send({header});
    }
    CHECK(hub.run_until([&] { return rejected() > 0 || !bad.is_up(); }));
  }
  SUBCASE("a step of another epoch") {
    for (const Epoch stale : {make_epoch(1, 1), make_epoch(0, 99), make_epoch(1, 3)})
      hub.send(Lane::Data, step_of(stale, 1, 1, 0, prompt));
    CHECK(hub.run_until([&] { return rejected() == 3; }));
    CHECK(hub.node.received<CandidatesFrame>().empty());
  }
  SUBCASE("more rows than the plan allows") {
    CHECK_FALSE(hub.answer_to(step_of(plan.epoch, 1, 1, 0, prompt_of(65))));
    const auto refused = hub.latest<StepRefused>();
    REQUIRE(refused);
    CHECK(refused->reason == RefusalReason::Invalid);
    CHECK(refused->detail.find("65 rows") != std::string::npos);
    CHECK(refused->detail.find("64") != std::string::npos);
  }
  CHECK(generate(hub, model, plan.epoch, prompt, 3) == expected);
  CHECK_FALSE(worker.has_ended());
}

}  // namespace shoal
