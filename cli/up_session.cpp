#include "cli/up_session.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "cli/cluster_tables.h"
#include "cli/own_addresses.h"
#include "cli/terminal_text.h"

namespace shoal {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCoordinator = "coordinator";
constexpr const char* kLinks = "linklab.hosts";  // no device's name has a dot
constexpr const char* kDoor = "linklab.door";
constexpr Duration kTend = std::chrono::milliseconds(100);
constexpr Duration kLookInterval = std::chrono::seconds(1);
constexpr std::chrono::milliseconds kAnswerPatience(2000);
constexpr std::uint64_t kSharedPercent = 80;  // of the machine's memory, for all workers on it together

std::string first_line_of(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "waiting_for_devices" and what it waits for, as people write it.
std::string with_detail(std::string state, const std::string& detail) {
  std::ranges::replace(state, '_', ' ');
  return terminal_safe(detail.empty() ? state : state + ": " + detail);
}

// Each worker alone would offer what the machine has: those that live on it together and were given no limit
// share it.
void share_memory(std::vector<DeviceConfig>& local) {
  const auto has_no_limit = [](const DeviceConfig& device) { return device.memory_bytes == 0; };
  const auto sharing = static_cast<std::uint64_t>(std::ranges::count_if(local, has_no_limit));
  if (sharing < 2) return;
  const auto physical = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
                        static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  for (DeviceConfig& device : local) {
    if (has_no_limit(device)) device.memory_bytes = physical / 100 * kSharedPercent / sharing;
  }
}

}  // namespace

Result<FileLock> lock_state(const std::string& state_directory) {
  std::error_code error;
  if (fs::create_directories(state_directory, error))
    fs::permissions(state_directory, fs::perms::owner_all, error);
  if (error) return fail(ErrorCode::Unavailable, "creating " + state_directory + ": " + error.message());
  Result<std::optional<FileLock>> lock = FileLock::try_take(state_directory + "/up.lock");
  if (!lock) return fail(lock.error());
  if (*lock) return **std::move(lock);
  return fail(ErrorCode::Unavailable, "another `shoal up` uses " + state_directory +
                                          ": stop it, or give this one a directory of its own with --state");
}

UpSession::UpSession(Options options, const std::atomic<bool>& stop)
    : options_(std::move(options)),
      stop_(stop),
      client_(options_.cluster.http_url(), options_.api_key),
      supervisor_(
          {.log_directory = options_.cluster.log_directory(),
           .restart = options_.restart,
           .show_logs = options_.show_logs,
           .say =
               [this](std::string_view line) {
                 bar_ ? bar_->print_line(line)
                      : void(std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data()));
               }}),
      started_(SteadyClock().now()) {
  client_.set_timeout(kAnswerPatience);
}

Status UpSession::run() {
  std::error_code error;
  fs::create_directories(options_.cluster.log_directory(), error);
  if (error)
    return fail(ErrorCode::Unavailable,
                "creating " + options_.cluster.log_directory() + ": " + error.message());
  bar_.emplace("starting");
  Status status = options_.cluster.has_links() ? start_links() : Status();
  if (status && !stop_) status = start_coordinator();
  if (status && !stop_) status = start_workers();
  if (status && !stop_) status = wait_until_ready();
  bar_.reset();
  if (status && !stop_) {
    print_ready();
    status = serve();
  }
  supervisor_.stop();
  return status;
}

// The hosts, and the way in to one of them: each says when it is there.
Status UpSession::start_links() {
  const ClusterProcesses& cluster = options_.cluster;
  std::ofstream(cluster.links_file()) << cluster.emulation->links;
  supervisor_.set_starting(true);
  for (const auto& [name, command] :
       {std::pair(kLinks, links_process(cluster)), std::pair(kDoor, door_process(cluster))}) {
    if (Status up = supervisor_.start(name, command); !up) return up;
    while (!stop_ && !supervisor_.has_said(name, "ready")) {
      supervisor_.tend(kTend);
      if (!supervisor_.last_end(name).empty())
        return fail(ErrorCode::Unavailable,
                    "the emulated network cannot start:\n" + supervisor_.last_lines(name));
      bar_->update(-1, "making test hosts");
    }
  }
  return {};
}

// A coordinator that ends before it ever answered would end the same way again: a taken port, a broken model.
Status UpSession::start_coordinator() {
  supervisor_.set_starting(true);
  if (Status up = supervisor_.start(kCoordinator, coordinator_process(options_.cluster, options_.api_key));
      !up)
    return up;
  while (!stop_) {
    supervisor_.tend(kTend);
    if (!supervisor_.last_end(kCoordinator).empty()) {
      return fail(ErrorCode::Unavailable,
                  "the coordinator cannot start:\n" + supervisor_.last_lines(kCoordinator));
    }
    bar_->update(-1, "the coordinator reads the model");
    // Its own word first: another program may answer on that port.
    if (supervisor_.has_said(kCoordinator, "coordinator_ready") && look().answers) {
      supervisor_.set_starting(false);
      return {};
    }
  }
  return {};
}

Status UpSession::start_workers() {
  print_join_commands();
  std::vector<DeviceConfig> local = options_.cluster.config.devices;
  const bool all_here = options_.cluster.emulation.has_value();
  std::erase_if(local,
                [&](const DeviceConfig& device) { return !all_here && !is_own_address(device.address); });
  share_memory(local);
  for (const DeviceConfig& device : local) {
    if (Status up = supervisor_.start(device.name, worker_process(options_.cluster, device)); !up) return up;
  }
  return {};
}

void UpSession::print_join_commands() {
  if (options_.cluster.emulation) return;
  const std::string token = first_line_of(options_.cluster.token_file());
  bool first = true;
  for (const DeviceConfig& device : options_.cluster.config.devices) {
    if (is_own_address(device.address)) continue;
    bar_->clear();
    if (std::exchange(first, false)) std::printf("Devices elsewhere join when you run there:\n");
    std::printf("  %s\n", join_command_line(options_.cluster, device, token).c_str());
  }
  std::fflush(stdout);
}

Status UpSession::check_coordinator() const {
  if (!supervisor_.is_given_up(kCoordinator)) return {};
  return fail(ErrorCode::Unavailable, supervisor_.last_end(kCoordinator));
}

UpSession::Health UpSession::look() {
  Health health;
  const Result<HttpClient::Response> response = client_.get("/health");
  if (!response) return health;
  const nlohmann::json json = nlohmann::json::parse(response->body, nullptr, /*allow_exceptions=*/false);
  health.answers = true;
  health.ready = response->status == 200;
  if (!json.is_object()) return health;
  const auto text = [&](const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  health.state = text("state");
  health.detail = text("detail");
  const auto progress = json.find("progress");
  if (progress != json.end() && progress->is_number()) health.progress = progress->get<double>();
  return health;
}

Status UpSession::wait_until_ready() {
  while (!stop_) {
    supervisor_.tend(kTend);
    if (Status fine = check_coordinator(); !fine) return fine;
    const Health health = look();
    if (health.ready) return {};
    const bool is_loading = health.state == "loading" || health.state == "recovering";
    bar_->update(is_loading ? health.progress : -1, with_detail(health.state, health.detail));
  }
  return {};
}

void UpSession::print_ready() {
  if (const Result<HttpClient::Response> cluster = client_.get("/api/cluster");
      cluster && cluster->status == 200) {
    const Result<std::string> plan = render_plan(cluster->body);
    if (plan) std::printf("\n%s", plan->c_str());
  }
  const std::string url = options_.cluster.http_url();
  const std::string flag = url == "http://127.0.0.1:8080" ? "" : " --url " + url;
  std::printf("\nReady after %.1f s. The OpenAI API is at %s/v1\n", seconds(SteadyClock().now() - started_),
              url.c_str());
  std::printf("  shoal run%s \"Why is the sky blue?\"\n  shoal chat%s\n  shoal status%s --watch\n",
              flag.c_str(), flag.c_str(), flag.c_str());
  std::printf("Logs are in %s. Ctrl-C stops everything.\n", options_.cluster.log_directory().c_str());
  std::fflush(stdout);
}

// News of processes come from the supervisor; what they mean for the service is asked of the hub each second.
Status UpSession::serve() {
  std::string state = "ready";
  Time looked = SteadyClock().now();
  while (!stop_) {
    supervisor_.tend(kTend);
    if (Status fine = check_coordinator(); !fine) return fine;
    if (SteadyClock().now() - looked < kLookInterval) continue;
    const Health health = look();
    looked = SteadyClock().now();
    const std::string now_state = health.answers ? health.state : "the coordinator does not answer";
    if (std::exchange(state, now_state) == now_state) continue;
    std::fprintf(stderr, "cluster: %s\n", with_detail(now_state, health.detail).c_str());
  }
  return {};
}

}  // namespace shoal
