#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "transport/endpoint.h"
#include "transport/network.h"

namespace shoal {

// "Does anything listen there?", asked by connecting, without blocking: a reactor polls the sockets. A
// process that is being killed may close its connections before its listening socket, so an answer is asked
// for again, kProbeAttempts times in all.
class Prober {
 public:
  struct Probe {
    DeviceId device{};
    Lane lane{};
    std::string reason;  // of the PeerDown this is for
    std::string endpoint;
    int fd = -1;  // -1: waiting for retry_at
    Time retry_at{};
    Time deadline{};
    int attempts_left = 0;
  };
  struct Answer {
    DeviceId device{};
    Lane lane{};
    bool refused = false;  // nothing listens; false: something does, or nobody answered in kProbeTimeout, or
                           // no address to ask
    std::string reason;
  };

  Prober() = default;
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;

  // `endpoint` names an address, not a host name (nothing is looked up here); otherwise the answer is "not
  // refused".
  void ask(DeviceId device, Lane lane, const std::string& endpoint, std::string reason, Time now);

  // Ends a probe whose answer no longer matters; false: there was none.
  bool cancel(DeviceId device, Lane lane, Answer& answer);

  std::vector<Probe>& probes() { return probes_; }       // to poll: those with an fd, for writing
  std::optional<Time> next_time() const;                 // when advance() wants to be called
  void advance(Time now, std::vector<Answer>& answers);  // looks at every probe

 private:
  void start(Probe& probe);
  std::optional<bool> look(Probe& probe, Time now);  // refused or not; nullopt: not known yet

  std::vector<Probe> probes_;
};

}  // namespace shoal
