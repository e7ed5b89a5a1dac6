#include "coordinator/coordinator_process.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/file_limit.h"
#include "base/log.h"
#include "coordinator/cluster_door.h"
#include "coordinator/cluster_view.h"
#include "coordinator/http/server.h"
#include "coordinator/hub_store.h"
#include "coordinator/served_model.h"
#include "coordinator/shard_server.h"
#include "kernels/kernel_table.h"
#include "transport/keys.h"
#include "transport/limits.h"
#include "transport/zmq_network.h"

#ifndef SHOAL_VERSION
#define SHOAL_VERSION "0.0.0"
#endif

namespace shoal {
namespace {

constexpr Duration kPublishInterval = std::chrono::milliseconds(100);

// The reactor: feeds the state machine, performs its commands, serves shard data, and carries answers to
// their clients.
class CoordinatorReactor {
 public:
  CoordinatorReactor(ZmqNetwork& network, ShardServer& shards, HubStore& store, ClusterState& state,
                     ClusterDoor& door)
      : network_(network), shards_(shards), store_(store), state_(state), door_(door) {}

  Status restore() {
    Result<std::vector<RememberDevice>> devices = store_.devices();
    if (!devices) return fail(devices.error());
    const Result<std::vector<RememberProfile>> profiles = store_.profiles();
    if (!profiles) return fail(profiles.error());
    Result<std::optional<RememberPlan>> plan = store_.plan();
    if (!plan) return fail(plan.error());
    state_.familiar = *std::move(plan);
    std::vector<ClusterCommand> commands;
    for (const RememberDevice& device : *devices) {
      std::vector<RememberProfile> own;
      std::ranges::copy_if(*profiles, std::back_inserter(own),
                           [&](const RememberProfile& p) { return p.public_key == device.public_key; });
      restore_member(state_, device, std::move(own), commands);
    }
    for (ClusterCommand& command : commands) carry_out(std::move(command));
    return {};
  }

  void run(const std::atomic<bool>& stop) {
    std::vector<NetworkEvent> arrived;
    std::vector<ClusterEvent> requests;
    while (!stop) {
      arrived.clear();
      network_.wait(kTick, arrived);
      for (NetworkEvent& event : arrived) on_network(std::move(event));
      requests.clear();
      door_.take_requests(requests);
      for (ClusterEvent& event : requests) handle(std::move(event));
      tick();
    }
    say_goodbye();
  }

 private:
  void on_network(NetworkEvent event) {
    auto* received = std::get_if<Received>(&event);
    if (received && received->lane == Lane::Bulk) {
      const auto* request = std::get_if<ShardRequest>(&received->message);
      if (request) (void)network_.send(received->from, Lane::Bulk, shards_.answer(*request));
      return;
    }
    handle(std::move(event));
  }

  void handle(ClusterEvent event) {
    commands_.clear();
    on_event(state_, std::move(event), clock_.now(), commands_);
    if (state_.phase != published_phase_) publish();  // before anybody is told what follows from it
    for (ClusterCommand& command : commands_) carry_out(std::move(command));
  }

  void tick() {
    const Time now = clock_.now();
    if (now - ticked_ < kTick) return;
    ticked_ = now;
    handle(ClusterTick{});
    if (now - published_ >= kPublishInterval) publish();
  }

  void publish() {
    published_ = clock_.now();
    published_phase_ = state_.phase;
    door_.publish(cluster_health(state_), cluster_json(state_, published_));
  }

  void carry_out(ClusterCommand command) {
    std::visit(
        [&]<typename C>(C& c) {
          if constexpr (std::is_same_v<C, DeliverEvent>) {
            door_.deliver(c.id, std::move(c.event));
          } else if constexpr (std::is_same_v<C, AnswerJoin>) {
            log_failure(network_.reply_join(c.ticket, std::move(c.reply)));
          } else if constexpr (std::is_same_v<C, RememberDevice> || std::is_same_v<C, RememberProfile> ||
                               std::is_same_v<C, RememberPlan>) {
            if (Status kept = store_.remember(c); !kept)
              log_error("not_remembered", {{"reason", kept.error().message()}});
          } else {
            log_failure(perform(network_, c));
          }
        },
        command);
  }

  void say_goodbye() {
    for (const auto& [id, member] : state_.members) {
      if (member.online) (void)network_.send(id, Lane::Control, Goodbye{"the coordinator stopped"});
    }
    std::vector<NetworkEvent> late;
    network_.wait(kTick * 5, late);  // the farewells leave inside wait()
  }

  SteadyClock clock_;
  ZmqNetwork& network_;
  ShardServer& shards_;
  HubStore& store_;
  ClusterState& state_;
  ClusterDoor& door_;
  std::vector<ClusterCommand> commands_;
  Time ticked_{};
  Time published_{};
  Phase published_phase_ = Phase::WaitingForDevices;
};

Result<ChatTemplate> chat_template_of(const GgufFile& file, const Tokenizer& tokenizer) {
  const std::optional<std::string_view> source = file.find_string("tokenizer.chat_template");
  const std::string_view fallback = fallback_chat_template(tokenizer);
  Result<ChatTemplate> parsed =
      ChatTemplate::parse(source.value_or(fallback), tokenizer.bos_text(), tokenizer.eos_text());
  if (parsed || !source) return parsed;
  log_warn("chat_template_unusable", {{"reason", parsed.error().message()}, {"instead", "a plain one"}});
  return ChatTemplate::parse(fallback, tokenizer.bos_text(), tokenizer.eos_text());
}

Status make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return fail(ErrorCode::Unavailable, "creating the state directory " + path + ": " + error.message());
  return {};
}

Result<std::unique_ptr<ZmqNetwork>> open_network(const CoordinatorOptions& options, const KeyPair& keys,
                                                 const JoinToken& token) {
  const auto port = [&](int offset) {
    return static_cast<std::uint16_t>(options.cluster_port == 0 ? 0 : options.cluster_port + offset);
  };
  return ZmqNetwork::open({.role = ZmqOptions::Role::Hub,
                           .keys = keys,
                           .join_keys = join_key_pair(token),
                           .host = options.cluster_address,
                           .join_port = port(0),
                           .control_port = port(1),
                           .data_port = port(2),
                           .bulk_port = port(3)});
}

ClusterSettings settings_of(const CoordinatorOptions& options, const ModelConfig& config,
                            const ZmqNetwork& network, std::uint32_t term, std::uint64_t digest) {
  ClusterSettings settings = options.cluster;
  settings.term = term;
  settings.arithmetic_digest = digest;
  if (settings.max_context > config.max_seq_len)
    log_warn("context_cut", {{"wanted", settings.max_context}, {"model_knows", config.max_seq_len}});
  settings.max_context = std::min(settings.max_context, config.max_seq_len);
  settings.scheduler.max_context = settings.max_context;
  settings.control_port = network.port(Lane::Control);
  settings.data_port = network.port(Lane::Data);
  settings.bulk_port = network.port(Lane::Bulk);
  return settings;
}

HttpOptions http_options(const CoordinatorOptions& options, const ServedModel& model, std::uint64_t digest) {
  HttpOptions http;
  http.address = options.http_address;
  http.port = options.http_port;
  http.limits.max_connections = connections_within(raise_file_limit());
  http.api.model_id = model.id;
  http.api.version = SHOAL_VERSION;
  char fingerprint[32];
  std::snprintf(fingerprint, sizeof fingerprint, "fp_%02x%02x%02x%02x%08x", model.hash[0], model.hash[1],
                model.hash[2], model.hash[3], static_cast<unsigned>(digest));
  http.api.fingerprint = fingerprint;
  if (options.cluster.kv_type != KvType::F16)  // it answers with other bits
    http.api.fingerprint += std::string("_") + name_of(options.cluster.kv_type);
  http.api.model_bytes = shard_bytes(model.specs, {0, model.config.num_units()});
  http.api.created = static_cast<std::int64_t>(std::time(nullptr));
  http.api.api_key = options.api_key;
  http.api.allowed_hosts = options.allowed_hosts;
  return http;
}

std::string model_id_of(const CoordinatorOptions& options) {
  return options.model_id.empty() ? std::filesystem::path(options.model_path).stem().string()
                                  : options.model_id;
}

}  // namespace

Status run_coordinator(CoordinatorOptions options, const std::atomic<bool>& stop,
                       const std::function<void(const CoordinatorReady&)>& ready) {
  if (Status made = make_directory(options.state_directory); !made) return made;
  Result<GgufFile> file = GgufFile::open(options.model_path);
  if (!file) return fail(file.error());
  const Result<Tokenizer> tokenizer = Tokenizer::open(*file);
  if (!tokenizer) return fail(tokenizer.error().during("reading the tokenizer of " + options.model_path));
  const Result<ChatTemplate> chat_template = chat_template_of(*file, *tokenizer);
  if (!chat_template) return fail(chat_template.error());
  Result<ServedModel> model =
      read_served_model(*file, model_id_of(options), std::max(1u, std::thread::hardware_concurrency()));
  if (!model) return fail(model.error());
  const Result<const KernelTable*> kernels = choose_kernels(options.kernels);
  if (!kernels) return fail(kernels.error());

  const Result<KeyPair> keys = load_or_make_key_pair(options.state_directory + "/hub.key");
  if (!keys) return fail(keys.error());
  const Result<JoinToken> token =
      load_or_make_join_token(options.state_directory + "/join.token", keys->public_key);
  if (!token) return fail(token.error());
  Result<HubStore> store = HubStore::open(options.state_directory + "/hub.sqlite");
  if (!store) return fail(store.error());
  const Result<std::uint32_t> term = store->next_term();
  if (!term) return fail(term.error());
  Result<std::unique_ptr<ZmqNetwork>> network = open_network(options, *keys, *token);
  if (!network) return fail(network.error());

  const std::uint64_t digest = arithmetic_digest(**kernels);
  const TokenText text = token_text_of(*tokenizer);
  ShardServer shards(*file, model->tensors);
  HttpOptions http = http_options(options, *model, digest);
  http.api.has_chat_template = file->find_string("tokenizer.chat_template").has_value();
  if (!http.api.has_chat_template)
    log_warn("no_chat_template",
             {{"model", model->id}, {"hint", "a base model completes texts: /v1/completions"}});
  ClusterSettings settings = settings_of(options, model->config, **network, *term, digest);
  ClusterDoor door(settings.max_context, [&network] { (*network)->wake(); });
  ClusterState state(*std::move(model), std::move(settings), text);
  CoordinatorReactor reactor(**network, shards, *store, state, door);
  if (Status restored = reactor.restore(); !restored) return restored;
  door.publish(cluster_health(state), cluster_json(state, SteadyClock().now()));

  Result<std::unique_ptr<HttpServer>> server = HttpServer::open(http, door, *tokenizer, *chat_template);
  if (!server) return fail(server.error());
  log_info("coordinator_ready", {{"http_port", (*server)->port()},
                                 {"join_port", (*network)->port(Lane::Join)},
                                 {"model", state.model.id}});
  ready({(*server)->port(), (*network)->port(Lane::Join), to_string(*token)});
  reactor.run(stop);
  door.close({ErrorCode::Unavailable, "the coordinator is stopping", "stopping"});
  (*server)->stop();
  return {};
}

}  // namespace shoal
