#include "tests/simulation/chaos.h"

#include <algorithm>

#include "coordinator/plan_builder.h"

namespace shoal {
namespace {

using std::chrono::milliseconds;

constexpr Duration kKnown = milliseconds(2500);  // who is here for this long is measured and may be planned

}  // namespace

Chaos::Chaos(const TinyModel& model, const std::vector<JudgedRequest>& pool, std::uint64_t seed)
    : model_(model), pool_(pool), random_(seed, "chaos"), num_devices_(3 + random_.below(4)) {}

SimClusterOptions Chaos::random_options() {
  SimClusterOptions options = sim_options(model_, num_devices_, random_.next());
  options.settings.min_stages = static_cast<std::uint32_t>(1 + random_.below(num_devices_));
  options.settings.kv_positions =
      static_cast<std::uint32_t>(kSimContext + random_.below(900));  // parking happens
  options.settings.max_sequences = static_cast<std::uint32_t>(2 + random_.below(15));
  options.settings.scheduler.prefill_chunk = static_cast<std::uint32_t>(1 + random_.below(64));
  options.settings.scheduler.busy_prefill_chunk = static_cast<std::uint32_t>(1 + random_.below(32));
  options.settings.log_bytes = random_.below(3) == 0 ? 20000 : 4 << 20;
  memory_is_short_ = random_.below(4) == 0;
  if (memory_is_short_) options.settings.log_bytes = 100000;
  for (SimDevice& device : options.devices) {
    device.seconds_per_unit_row = 1e-6 * static_cast<double>(20 + random_.below(400));
    if (memory_is_short_) device.memory_bytes = (15 << 20) + random_.below(1 << 20);
    speeds_.push_back(device.seconds_per_unit_row);
  }
  return options;
}

// Serving. Where memory was drawn too short for all together, every device gets more.
bool Chaos::open_cluster() {
  SimClusterOptions options = random_options();
  for (int attempt = 0; attempt < 20; ++attempt) {
    Result<std::unique_ptr<SimCluster>> cluster = SimCluster::open(options);
    if (!cluster) return false;
    cluster_ = *std::move(cluster);
    const auto decided = [&] {
      return cluster_->hub().phase == Phase::Ready || cluster_->hub().planning_failed;
    };
    if (!cluster_->run_until(decided)) return false;
    if (cluster_->hub().phase == Phase::Ready) return true;
    for (SimDevice& device : options.devices) device.memory_bytes += 200 << 10;
  }
  return false;
}

std::string Chaos::run() {
  if (!open_cluster()) return "it never served";
  for (std::size_t i = 1; i <= num_devices_; ++i)
    up_since_[static_cast<DeviceId>(i)] = cluster_->now() - kKnown;
  if (random_.below(3) == 0)
    cluster_->world().set_every_link({.jitter = milliseconds(2), .bytes_per_second = 4e6, .loss = 0.002});
  for (std::size_t i = 2 + random_.below(4); i > 0; --i) submit();
  for (std::size_t i = 2 + random_.below(6); i > 0; --i) {
    run_for(milliseconds(random_.below(random_.below(4) == 0 ? 4000 : 120)));
    misfortune();
    if (random_.below(3) == 0) submit();
  }
  run_for(milliseconds(random_.below(3000)));
  heal_all();
  const auto all_ended = [&] {
    watch();
    return std::ranges::all_of(asked_, [&](const Asked& asked) {
      return asked.cancelled || has_ended(cluster_->events_of(asked.id));
    });
  };
  (void)cluster_->run_until(all_ended, std::chrono::seconds(180));
  return verdict();
}

// ---- What is done to it

void Chaos::submit() {
  watch();
  const JudgedRequest& judged = pool_[random_.below(pool_.size())];
  const bool may_fail = !can_serve();
  asked_.push_back({cluster_->submit(judged.request), &judged, false, may_fail});
}

void Chaos::submit_crowd() {
  note("a crowd");
  for (int i = 0; i < 16; ++i) submit();
}

void Chaos::cancel_one() {
  Asked& asked = asked_[random_.below(asked_.size())];
  if (has_ended(cluster_->events_of(asked.id))) return;
  asked.cancelled = true;
  cluster_->cancel(asked.id);
  note("cancel " + std::to_string(asked.id));
}

void Chaos::misfortune() {
  const DeviceId device = some_device();
  switch (random_.below(13)) {
    case 0:
    case 1:
      kill(device);
      break;
    case 2:
      kill(device);
      kill(some_device());
      break;
    case 3:  // while the repair of the first is under way
      kill(device);
      run_for(milliseconds(random_.below(60)));
      kill(some_device());
      break;
    case 4:
      silence_device(device);
      break;
    case 5:
      break_link();
      break;
    case 6:
      disturb_link();
      break;
    case 7:
      flap(device);
      break;
    case 8:
      cancel_one();
      break;
    case 9:
      slow_down(device);
      break;
    case 10:
      stall_hub();
      break;
    case 11:
      submit_crowd();
      break;
    default:
      heal_some();
  }
  watch();
}

void Chaos::kill(DeviceId device) {
  note("kill " + std::to_string(raw(device)));
  if (down_.insert(device).second) cluster_->kill(device);
}

void Chaos::start(DeviceId device) {
  down_.erase(device);
  frozen_.erase(device);
  cluster_->start(device);
}

// A process that comes and goes.
void Chaos::flap(DeviceId device) {
  note("flap " + std::to_string(raw(device)));
  for (int i = 0; i < 3; ++i) {
    if (down_.insert(device).second) cluster_->kill(device);
    run_for(milliseconds(random_.below(400)));
    start(device);
    run_for(milliseconds(random_.below(900)));
  }
}

void Chaos::slow_down(DeviceId device) {
  note("slow down " + std::to_string(raw(device)));
  cluster_->set_speed(device, 1e-3 * static_cast<double>(1 + random_.below(8)));
}

// The hub's process gets no turn for a while: nobody else is to blame for the silence.
void Chaos::stall_hub() {
  const auto length = milliseconds(random_.below(random_.below(3) == 0 ? 6000 : 800));
  note("stall the hub for " + std::to_string(length.count()) + " ms");
  cluster_->world().freeze(kHub);
  run_for(length);
  cluster_->world().thaw(kHub);
}

void Chaos::silence_device(DeviceId device) {
  if (down_.contains(device)) return;
  if (random_.below(2) == 0) {
    cluster_->world().freeze(device);
    frozen_.insert(device);
    note("freeze " + std::to_string(raw(device)));
  } else {
    cluster_->world().unplug(device);
    unplugged_.insert(device);
    note("unplug " + std::to_string(raw(device)));
  }
}

void Chaos::break_link() {
  const DeviceId from = random_.below(4) == 0 ? kHub : some_device();
  const DeviceId to = some_device();
  if (from == to) return;
  const bool one_way = random_.below(2) == 0;
  if (one_way)
    cluster_->world().cut_one_way(from, to);
  else
    cluster_->world().cut(from, to);
  if (from == kHub)
    unplugged_.insert(to);
  else
    cut_.insert({from, to});
  note((one_way ? "cut one way " : "cut ") + std::to_string(raw(from)) + "-" + std::to_string(raw(to)));
}

void Chaos::disturb_link() {
  const DeviceId from = some_device();
  const DeviceId to = random_.below(4) == 0 ? kHub : some_device();
  if (from == to) return;
  const bool corrupt = to != kHub && random_.below(3) == 0;  // the hub revokes a key for that, for good
  const double lose = random_.below(3) == 0 ? 0.01 : 0;
  cluster_->world().set_faults(
      from, to, {.duplicate = 0.2, .reorder = 0.1, .corrupt = corrupt ? 0.02 : 0, .lose = lose});
  if (random_.below(2) == 0)
    cluster_->world().set_link(from, to, {.latency = milliseconds(5), .bytes_per_second = 1e6, .loss = 0.01});
  note(std::string(corrupt    ? "corrupt "
                   : lose > 0 ? "lose "
                              : "disturb ") +
       std::to_string(raw(from)) + "-" + std::to_string(raw(to)));
}

void Chaos::heal_some() {
  note("heal");
  for (const DeviceId device : std::set<DeviceId>(down_)) {
    if (random_.below(2) == 0) continue;
    start(device);
  }
  for (const DeviceId device : std::set<DeviceId>(frozen_)) {
    if (!down_.contains(device)) cluster_->world().thaw(device);
    frozen_.erase(device);
  }
  for (const DeviceId device : std::set<DeviceId>(unplugged_)) {
    if (random_.below(2) == 0) continue;
    cluster_->world().plug_in(device);
    std::erase_if(cut_, [&](const auto& link) { return link.first == device || link.second == device; });
    unplugged_.erase(device);
  }
}

void Chaos::heal_all() {
  note("heal all");
  for (std::size_t i = 0; i <= num_devices_; ++i) {
    const auto device = static_cast<DeviceId>(i);
    cluster_->world().plug_in(device);
    for (std::size_t j = 0; j <= num_devices_; ++j)
      cluster_->world().set_faults(device, static_cast<DeviceId>(j), {});
    if (device == kHub) continue;
    cluster_->set_speed(device, speeds_[i - 1]);
    if (!cluster_->is_running(device))
      cluster_->start(device);
    else if (frozen_.contains(device))
      cluster_->world().thaw(device);
  }
  down_.clear();
  frozen_.clear();
  unplugged_.clear();
  cut_.clear();
}

// ---- What is watched
// ------------------------------------------------------------------------------------------------------------

void Chaos::note(const std::string& what) {
  const auto at = std::chrono::duration_cast<milliseconds>(cluster_->now().time_since_epoch()).count();
  story_ += "  " + std::to_string(at) + " ms: " + what + "\n";
}

void Chaos::run_for(Duration duration) {
  (void)cluster_->run_until(
      [&] {
        watch();
        return false;
      },
      duration);
}

bool Chaos::can_serve() {
  std::vector<DeviceId> known;
  for (const auto& [device, since] : up_since_) {
    if (cluster_->now() - since >= kKnown) known.push_back(device);
  }
  if (known.empty()) return false;
  // One of them alone will do, whatever links are cut, unless its memory is too short.
  return !memory_is_short_ || (cut_.empty() && memory_suffices(known));
}

bool Chaos::memory_suffices(const std::vector<DeviceId>& devices) {
  const auto known = suffices_.find(devices);
  if (known != suffices_.end()) return known->second;
  const bool all_measured = std::ranges::all_of(
      devices, [&](DeviceId id) { return cluster_->hub().members.at(id).profile.has_value(); });
  return all_measured && (suffices_[devices] = choose_plan(cluster_->hub(), devices, 1).has_value());
}

void Chaos::watch() {
  for (std::size_t i = 1; i <= num_devices_; ++i) {
    const auto device = static_cast<DeviceId>(i);
    if (!is_up(device))
      up_since_.erase(device);
    else
      up_since_.try_emplace(device, cluster_->now());
  }
  if (!can_serve()) {
    for (Asked& asked : asked_) asked.may_fail = asked.may_fail || !has_ended(cluster_->events_of(asked.id));
  }
  const auto& active = cluster_->hub().active;
  if (!active) return;
  if (raw(active->epoch) < raw(newest_)) broken_promise_ = "an epoch fell";
  newest_ = active->epoch;
}

std::string Chaos::verdict() {
  const auto with_story = [&](const std::string& what) { return what + "\n" + story_; };
  if (!broken_promise_.empty()) return with_story(broken_promise_);
  for (const Asked& asked : asked_) {
    const std::vector<InferenceEvent>& events = cluster_->events_of(asked.id);
    if (asked.cancelled) {
      if (has_ended(events)) return with_story("a cancelled request got an end");
      continue;
    }
    const auto* failed = events.empty() ? nullptr : std::get_if<FailedEvent>(&events.back());
    if (failed && failed->api_code == "devices_died")
      return with_story("request " + std::to_string(asked.id) + " was blamed for deaths it had no part in");
    const std::string fault = fault_in(*asked.judged, events, asked.may_fail);
    if (!fault.empty()) {
      return with_story("request " + std::to_string(asked.id) + ": " + fault + " (" +
                        name_of(cluster_->hub().phase) + ", " + cluster_->hub().detail + ")");
    }
  }
  if (!cluster_->run_until_serving(std::chrono::seconds(60)))
    return with_story("service did not return: " + cluster_->hub().detail);
  const JudgedRequest& last = pool_[random_.below(pool_.size())];
  const RequestId id = cluster_->submit(last.request);
  (void)cluster_->run_until([&] { return has_ended(cluster_->events_of(id)); }, std::chrono::seconds(120));
  if (const std::string fault = fault_in(last, cluster_->events_of(id), false); !fault.empty())
    return with_story("after it healed: " + fault);
  (void)cluster_->run_until([&] { return leak_in(*cluster_).empty(); }, std::chrono::seconds(5));
  const std::string leak = leak_in(*cluster_);
  return leak.empty() ? "" : with_story(leak);
}

}  // namespace shoal
