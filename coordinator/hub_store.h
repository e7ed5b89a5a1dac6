#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "coordinator/cluster_state.h"

namespace shoal {

// What the hub keeps over a restart, in SQLite: the devices it admitted, their measurements and their links',
// who held what, and its term. Home of <sqlite3.h>. One thread. Terms and revocations are on the disk when
// their call returns; the rest survives a killed hub at once and a power cut a little later, so that the
// reactor does not wait for a slow disk.
class HubStore {
 public:
  // Creates what is missing; a file of an earlier version is brought up to date. Corrupt or foreign files are
  // errors that say what to do.
  static Result<HubStore> open(const std::string& path);
  HubStore(HubStore&&) noexcept;
  ~HubStore();

  // Raises the term, committed before it returns: epochs of an earlier run are never used again.
  Result<std::uint32_t> next_term();

  Result<std::vector<RememberDevice>> devices();
  Result<std::vector<RememberProfile>> profiles();
  Status remember(const RememberDevice& device);
  Status remember(const RememberProfile& profile);
  Result<RememberLinks> links();
  Status remember(const RememberLinks& links);
  Status remember(const RememberPlan& plan);  // replaces the last
  Result<std::optional<RememberPlan>> plan();

 private:
  struct State;
  explicit HubStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace shoal
