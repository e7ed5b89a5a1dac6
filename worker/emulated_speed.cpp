#include "worker/emulated_speed.h"

#include <sys/prctl.h>

#include <thread>

namespace shoal {

double EmulatedSpeed::make_up_for(double seconds) const {
  if (speed_ >= 1) return seconds;
  constexpr unsigned long kSlackNanoseconds = 1000;  // the usual 50 us would be much of a small step
  thread_local const bool is_punctual = ::prctl(PR_SET_TIMERSLACK, kSlackNanoseconds) == 0;
  (void)is_punctual;
  std::this_thread::sleep_for(from_seconds(seconds * (1 / speed_ - 1)));
  return seconds / speed_;
}

}  // namespace shoal
