#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>

#include "tests/simulation/judged_requests.h"

namespace shoal {

// One cluster, some requests, and a run of misfortunes, all from one seed. Everything heals at the end.
class Chaos {
 public:
  Chaos(const TinyModel& model, const std::vector<JudgedRequest>& pool, std::uint64_t seed);

  // "" if every promise held, else the one that did not, with what was done to the cluster before.
  std::string run();

 private:
  struct Asked {
    RequestId id = 0;
    const JudgedRequest* judged = nullptr;
    bool cancelled = false;
    bool may_fail = false;  // for a while nobody here could have served it
  };

  SimClusterOptions random_options();
  bool open_cluster();
  void submit();
  void submit_crowd();
  void cancel_one();
  void misfortune();
  void kill(DeviceId device);
  void start(DeviceId device);
  void flap(DeviceId device);
  void slow_down(DeviceId device);
  void stall_hub();
  void break_link();
  void disturb_link();
  void silence_device(DeviceId device);
  void heal_some();
  void heal_all();
  void run_for(Duration duration);
  void watch();
  void note(const std::string& what);
  bool can_serve();
  bool memory_suffices(const std::vector<DeviceId>& devices);
  std::string verdict();
  DeviceId some_device() { return static_cast<DeviceId>(1 + random_.below(num_devices_)); }
  bool is_up(DeviceId device) const {
    return !down_.contains(device) && !frozen_.contains(device) && !unplugged_.contains(device);
  }

  const TinyModel& model_;
  const std::vector<JudgedRequest>& pool_;
  Random random_;
  std::size_t num_devices_;
  std::unique_ptr<SimCluster> cluster_;
  std::vector<Asked> asked_;
  std::set<DeviceId> down_, frozen_, unplugged_;
  std::set<std::pair<DeviceId, DeviceId>> cut_;
  std::map<DeviceId, Time> up_since_;
  std::vector<double> speeds_;  // as they were, seconds per unit and row
  bool memory_is_short_ = false;
  std::map<std::vector<DeviceId>, bool> suffices_;
  Epoch newest_{};
  std::string broken_promise_;
  std::string story_;
};

}  // namespace shoal
