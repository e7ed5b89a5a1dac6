#include "worker/worker_process.h"

#include <unistd.h>

#include <deque>
#include <random>
#include <vector>

#include "base/log.h"
#include "transport/limits.h"
#include "worker/compute_thread.h"
#include "worker/device_facts.h"
#include "worker/device_heat.h"
#include "worker/joining.h"
#include "worker/store_thread.h"
#include "worker/worker_state.h"

namespace shoal {
namespace {

Hello hello_of(const WorkerOptions& options, const std::string& name, const KernelTable& kernels,
               const Joined& joined) {
  std::random_device random;
  Hello hello;
  hello.arithmetic_version = kArithmeticVersion;
  hello.arithmetic_digest = arithmetic_digest(kernels);
  hello.panel_layout_version = kPanelLayoutVersion;
  hello.instance = static_cast<std::uint64_t>(random()) << 32 | random();
  hello.name = name;
  hello.host = host_name();
  hello.pid = static_cast<std::uint32_t>(::getpid());
  hello.inbox = to_string(endpoint_of(joined.listen_host, joined.network->port(Lane::Data)));
  hello.memory_bytes = options.memory_bytes ? options.memory_bytes : giveable_memory();
  hello.num_threads = static_cast<std::uint32_t>(options.num_threads ? options.num_threads : usable_cores());
  hello.kernels = kernels.name;
  hello.profile_key = profile_key(hardware_text("/"), hello.kernels, hello.num_threads);
  return hello;
}

constexpr Duration kHeatInterval = std::chrono::seconds(2);

enum class Ending { Stopped, MustJoinAgain };

// The reactor: one thread that feeds the state machine and performs what it commands.
class WorkerReactor {
 public:
  WorkerReactor(Joined joined, Hello hello, const KernelTable& kernels, ShardStore& store)
      : network_(*joined.network),
        joined_(std::move(joined)),
        store_(store, [this] { network_.wake(); }),
        compute_(kernels, hello.num_threads, profile_working_set(largest_cache("/"), hello.memory_bytes),
                 store, [this] { network_.wake(); }),
        state_(make_worker_state({.hello = hello, .device = joined_.reply.device}, clock_.now())) {}

  Result<Ending> run(const std::atomic<bool>& stop) {
    std::vector<NetworkEvent> arrived;
    while (!stop && !exit_ && !must_join_again_) {
      arrived.clear();
      network_.wait(kTick, arrived);
      for (NetworkEvent& event : arrived) handle(std::move(event));
      while (std::optional<WorkerEvent> event = compute_.try_pop()) handle(*std::move(event));
      while (std::optional<WorkerEvent> event = store_.try_pop()) handle(*std::move(event));
      tick();
    }
    if (exit_) return fail(ErrorCode::InvalidArgument, exit_->reason);
    return must_join_again_ && !stop ? Ending::MustJoinAgain : Ending::Stopped;
  }

 private:
  void tick() {
    const Time now = clock_.now();
    if (now - ticked_ < kTick) return;
    ticked_ = now;
    if (now - measured_ >= kBeatInterval) {
      measured_ = now;
      if (now - heat_read_ >= kHeatInterval) {
        heat_read_ = now;
        heat_ = read_heat("/sys");
      }
      handle(SelfMeasured{resident_bytes(), compute_.finished_work(), compute_.free_kv_blocks(), heat_});
    }
    handle(Tick{});
  }

  void handle(WorkerEvent event) {
    commands_.clear();
    on_event(state_, std::move(event), clock_.now(), commands_);
    for (WorkerCommand& command : commands_) carry_out(std::move(command));
    while (!unserved_.empty()) {
      WorkerEvent refusal = std::move(unserved_.front());
      unserved_.pop_front();
      handle(std::move(refusal));
    }
  }

  void carry_out(WorkerCommand command) {
    std::visit(
        [&]<typename C>(C& c) {
          if constexpr (std::is_same_v<C, OpenStages> || std::is_same_v<C, RunStep> ||
                        std::is_same_v<C, MeasureProfile> || std::is_same_v<C, EchoCompute>) {
            push(compute_, ComputeThread::Work(std::move(c)));
          } else if constexpr (std::is_same_v<C, CheckStore> || std::is_same_v<C, WriteShard>) {
            push(store_, StoreThread::Work(std::move(c)));
          } else if constexpr (std::is_same_v<C, Exit>) {
            exit_ = std::move(c);
          } else if constexpr (std::is_same_v<C, JoinAgain>) {
            must_join_again_ = true;
          } else {
            log_failure(perform(network_, c));
          }
        },
        command);
  }

  template <typename Thread>
  void push(Thread& thread, typename Thread::Work work) {
    if (thread.try_push(work)) return;
    log_warn("queue_full");
    std::visit([&](auto& refused) { unserved_.push_back(no_room_for(refused)); }, work);
  }

  SteadyClock clock_;
  ZmqNetwork& network_;
  Joined joined_;
  StoreThread store_;
  ComputeThread compute_;
  WorkerState state_;
  std::vector<WorkerCommand> commands_;
  std::deque<WorkerEvent> unserved_;
  std::optional<Exit> exit_;
  bool must_join_again_ = false;
  Time ticked_{};
  Time measured_{};
  Time heat_read_{};
  Heat heat_;
};

// As a joined worker, until something ends it. Layers on the disk outlive it, all else goes with it.
Result<Ending> serve(const WorkerOptions& options, const std::string& name, Joined joined,
                     const KernelTable& kernels, ShardStore& store, const std::atomic<bool>& stop) {
  Hello hello = hello_of(options, name, kernels, joined);
  log_info("worker_joined", {{"name", name},
                             {"device", joined.reply.device},
                             {"inbox", hello.inbox},
                             {"kernels", hello.kernels},
                             {"threads", hello.num_threads},
                             {"memory_bytes", hello.memory_bytes}});
  WorkerReactor reactor(std::move(joined), std::move(hello), kernels, store);
  return reactor.run(stop);
}

}  // namespace

Status run_worker(WorkerOptions options, const std::atomic<bool>& stop) {
  const Result<const KernelTable*> kernels = choose_kernels(options.kernels);
  if (!kernels) return fail(kernels.error());
  Result<std::unique_ptr<ShardStore>> store = ShardStore::open(options.state_directory + "/shards");
  if (!store) return fail(store.error());
  const Result<KeyPair> keys = load_or_make_key_pair(options.state_directory + "/worker.key");
  if (!keys) return fail(keys.error());
  const std::string name = options.name.empty() ? host_name() : options.name;
  while (true) {
    Result<Joined> joined = join_hub(options, *keys, name, stop);
    if (!joined && stop) return {};
    if (!joined) return fail(joined.error());
    const Result<Ending> ending = serve(options, name, *std::move(joined), **kernels, **store, stop);
    if (!ending) return fail(ending.error());
    if (*ending == Ending::Stopped) return {};
    options.join_patience = Duration::max();  // this hub was there: it is waited for as by any joined worker
  }
}

}  // namespace shoal
